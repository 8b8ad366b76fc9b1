"""Start MiniStack as `petpark_emulator` starts LocalStack.

Its own `main` is not used: that looks whether its port is free by calling it, and ours listens already.
"""

import asyncio


def main() -> None:
    """Never returns before MiniStack ends."""
    from petpark_emulator import process

    process.begin()
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app

    from petpark_ministack import access, images, instances

    for module in (access, images, instances):
        module.apply()
    asyncio.run(serve(app, Config()))


if __name__ == "__main__":
    main()
