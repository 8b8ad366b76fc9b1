"""Start LocalEmu as `petpark_emulator` starts LocalStack, of which it is a fork."""


def main() -> None:
    """Never returns before LocalEmu ends."""
    from petpark_emulator import process

    process.begin()
    from localemu.runtime.main import main as run

    run()


if __name__ == "__main__":
    main()
