"""Start LocalStack the way a rehearsal needs it: on the socket it is handed, with long-lived connections, no longer
than its parent.
"""


def main() -> None:
    """Never returns before LocalStack ends."""
    from petpark_emulator import process

    process.begin()
    # A plugin that cannot be imported is skipped by LocalStack without a word; here it ends the start instead.
    from localstack.runtime.main import main as run

    from petpark_emulator import remedies, services  # noqa: F401

    run()


if __name__ == "__main__":
    main()
