"""An application as a server calls it whose `send` acts in any thread: Granian's does, those for tests do not."""

import asyncio
import threading
from typing import Any

import httpx


def eager(app: Any) -> Any:
    """`app` for a client without a socket: what a thread sends is sent when that call returns."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        loop, here = asyncio.get_running_loop(), threading.get_ident()

        def send_now(message: Any) -> Any:
            if threading.get_ident() == here:
                return send(message)
            return asyncio.run_coroutine_threadsafe(send(message), loop).result(30)

        await app(scope, receive, send_now)

    return served


class EagerTransport(httpx.ASGITransport):
    """As `httpx.ASGITransport`, for such an application."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(eager(app), **options)
