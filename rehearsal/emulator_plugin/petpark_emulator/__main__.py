"""Start LocalStack the way a rehearsal needs it: on the socket it is handed, with long-lived connections, no longer
than its parent.
"""

import importlib


def main() -> None:
    """Never returns before LocalStack ends."""
    from petpark_emulator import process

    process.begin()
    from localstack.runtime.main import main as run

    # A plugin that cannot be imported is skipped by LocalStack without a word; here it ends the start instead.
    for module in ("patches", "services"):
        importlib.import_module(f"petpark_emulator.{module}")
    run()


if __name__ == "__main__":
    main()
