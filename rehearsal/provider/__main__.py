"""`python -m rehearsal.provider [ENGINE]`: `make` downloads with it what a rehearsal's engine needs, if missing."""

from __future__ import annotations

import os
import sys

from petpark.targets import pulumi_cli
from rehearsal.provider.integrity import changed
from rehearsal.provider.mirrors import VARIABLE, installed


def main(engine: str) -> int:
    """Download what `engine` (`embedded`, `pulumi`, or empty: `petpark rehearse`'s default) lacks; an exit code.

    Prints nothing and imports nothing large where nothing is missing.
    """
    if engine == "pulumi" or (not engine and pulumi_cli.find() is not None):
        return 0 if pulumi_cli.find() is not None else _fetch_pulumi()
    if (found := installed()) is not None:
        if not (why := changed(found)):
            return 0
        say(f"setup      {why}: it is downloaded again")
    if chosen := os.environ.get(VARIABLE):
        return _failed(f"{VARIABLE} is {chosen}, which is neither an executable AWS provider nor a mirror with one")
    return _fetch_provider()


def _fetch_provider() -> int:
    from rich.console import Console

    from petpark.downloads.pins import provider_pins
    from petpark.downloads.progress import megabytes, shown
    from petpark.errors import InstallFailed
    from rehearsal.provider.fetching import fetch_provider, source

    console = Console(stderr=True, highlight=False)
    try:
        pins = provider_pins()
        where = source(pins).split("/")[2].rpartition("@")[2]
        say(f"setup 4/4  AWS provider {pins.version} from {where} (some {megabytes(pins.packed)}, once)")
        with shown("setup      AWS provider", console) as report:
            fetch_provider(report, waiting=_waiting)
    except InstallFailed as error:
        return _failed(error.message, error.next_step)
    return 0


def _fetch_pulumi() -> int:
    from rich.console import Console

    from petpark.downloads import pulumi
    from petpark.downloads.progress import shown
    from petpark.errors import InstallFailed

    console = Console(stderr=True, highlight=False)
    try:
        where = pulumi.cli_file().url.split("/")[2].rpartition("@")[2]
        say(f"setup 4/4  Pulumi CLI and its aws plugin from {where} (once)")
        fetched = pulumi.install(lambda name: shown(f"setup      {name}", console), waiting=_waiting)
    except InstallFailed as error:
        return _failed(error.message, error.next_step)
    for file in fetched:
        say(f"setup      {file.name}: SHA-256 {file.sha256}, checked against {file.trust}")
    return 0


def _waiting() -> None:
    say("setup      another set-up is downloading it; waiting")


def say(sentence: str) -> None:
    """Print a line at once."""
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


def _failed(why: str, ways_out: str = "") -> int:
    sentence = ": ".join(part.rstrip(".") for part in (why, ways_out[:1].lower() + ways_out[1:]) if part)
    sys.stderr.write(f"setup: {sentence}.\n")
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
    except KeyboardInterrupt:
        sys.exit(_failed("interrupted; run it again to resume") + 128)
