"""`python -m camera FILE`: runs the agent on a machine in the park, with only this package's dependencies."""

import sys
from pathlib import Path

from camera.delivery.spool import SpoolInUse, SpoolUnusable
from camera.process import run
from camera.settings import SettingsInvalid, load_settings
from serving.listening import AddressInUse
from serving.process_exit import end

_USAGE = 2


def main(arguments: list[str]) -> int:
    """Run until stopped. Returns exit code 0, or 2 for invalid settings, with a message."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m camera SETTINGS.yaml (docs/design/camera.md has an example)\n")
        return _USAGE
    try:
        run(load_settings(Path(arguments[0]), overrides={}))
    except (SettingsInvalid, SpoolInUse, SpoolUnusable, AddressInUse) as error:
        sys.stderr.write(f"petpark camera agent: {error}\n")
        return _USAGE
    return 0


if __name__ == "__main__":
    end(main(sys.argv[1:]))
