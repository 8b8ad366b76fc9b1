"""The response to one request: sent once, by the event loop or by a worker thread."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

type HeaderLines = Iterable[tuple[bytes, bytes]]


class Reply:
    """Sends a response with the common header lines; a second response is dropped.

    Requires a server whose `send` acts when it is called, from any thread, not when it is awaited, such as Granian's.
    """

    def __init__(
        self, send: Send, *, common_headers: Callable[[], HeaderLines], sending: Callable[[int], None]
    ) -> None:
        """`sending` is called with the status just before `send_now` sends a response."""
        self._send = send
        self._common_headers = common_headers
        self._sending = sending
        self._lock = threading.Lock()
        self._sent_by_thread = False
        self.began = time.perf_counter()
        self.status = 0
        """0 until a response is sent."""

    async def send(self, message: Message) -> None:
        """Send a part of a response; this is ASGI's `send`, for the event loop."""
        with self._lock:
            if self._sent_by_thread:
                return  # the worker responded just before the timeout
            if message["type"] == "http.response.start":
                self.status = message["status"]
                message["headers"] = [*message["headers"], *self._common_headers()]
            sent = self._send(message)
        await sent

    def send_now(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Send a complete response from a worker thread. Returns False if one was already sent."""
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        lines += [(b"content-length", b"%d" % len(body)), *self._common_headers()]
        with self._lock:
            if self.status:
                return False
            self.status = status
            self._sent_by_thread = True
            self._sending(status)
            self._send({"type": "http.response.start", "status": status, "headers": lines})
            self._send({"type": "http.response.body", "body": body})
        return True


class Sent(Response):
    """Placeholder for a response that `Reply.send_now` has sent."""

    async def __call__(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        """Send nothing."""
