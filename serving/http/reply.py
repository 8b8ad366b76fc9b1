"""The answer to one request: sent once, by the event loop or by the thread that made it."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

type HeaderLines = Iterable[tuple[bytes, bytes]]


class Reply:
    """Sends an answer with the header lines that every answer has; a second answer is not sent.

    `send` of the server acts when it is called, in any thread, and not when its result is awaited: Granian's does.
    """

    def __init__(self, send: Send, *, every_answer: Callable[[], HeaderLines], sending: Callable[[int], None]) -> None:
        """`sending` is called with the status just before an answer of `send_now` is on its way."""
        self._send = send
        self._every_answer = every_answer
        self._sending = sending
        self._lock = threading.Lock()
        self._sent_by_thread = False
        self.began = time.perf_counter()
        self.status = 0
        """0 as long as nothing was sent."""

    async def send(self, message: Message) -> None:
        """Send a part of an answer: `send` of ASGI, for the event loop."""
        with self._lock:
            if self._sent_by_thread:
                return  # it came just before the time was up
            if message["type"] == "http.response.start":
                self.status = message["status"]
                message["headers"] = [*message["headers"], *self._every_answer()]
            sent = self._send(message)
        await sent

    def send_now(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Send a whole answer from any thread but the event loop's. False if there was one already."""
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        lines += [(b"content-length", b"%d" % len(body)), *self._every_answer()]
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
    """Stands for an answer that `Reply.send_now` has sent."""

    async def __call__(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        """Send nothing."""
