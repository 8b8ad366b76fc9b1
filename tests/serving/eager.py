"""httpx over an application itself, as over a server whose `send` acts in any thread (Granian's does)."""

import asyncio
import threading
from typing import Any

import httpx


class EagerTransport(httpx.ASGITransport):
    """As `httpx.ASGITransport`; what another thread than the event loop's sends is sent when that call returns."""

    def __init__(self, app: Any, **options: Any) -> None:
        async def served(scope: Any, receive: Any, send: Any) -> None:
            loop, here = asyncio.get_running_loop(), threading.get_ident()

            def send_now(message: Any) -> Any:
                if threading.get_ident() == here:
                    return send(message)
                return asyncio.run_coroutine_threadsafe(send(message), loop).result(30)

            await app(scope, receive, send_now)

        super().__init__(served, **options)
