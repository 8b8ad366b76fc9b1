"""A proxy between a run's instances and AWS: it sees every request before it is sent, and can make it fail.

All requests of the instances go to the emulator through one relay. It knows where a request begins because the clients
of AWS's SDKs send one at a time on a connection.
"""

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote

_REQUEST: Final = re.compile(rb"(GET|PUT|POST|HEAD|DELETE) (/\S*) HTTP/1\.1\r\n")
_CHUNK: Final = 64 * 1024
_SLOW_DOWN: Final = b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that has not been sent on."""

    method: str
    path: str
    """Without its query; of S3: bucket and key."""
    beginning: str
    """Headers, and the body; of S3, as much of it as came with them."""

    @property
    def of_s3(self) -> bool:
        """Whether it goes to S3: the other services' requests have no path."""
        return self.path != "/"


type Watch = Callable[[Request], bool]
"""Called in a thread before a request is sent on; false: it is not, and its connection ends."""


class Wire:
    """A relay on loopback to `host`:`port`. A context manager."""

    def __init__(self, host: str, port: int, watch: Watch) -> None:
        self._upstream = (host, port)
        self._watch = watch
        self._failing = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)
        self._watchers = ThreadPoolExecutor(8, thread_name_prefix="watch")
        self._ready = threading.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        self._ready.wait(30)
        return self

    def __exit__(self, *_exc: object) -> None:
        """End every connection."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._watchers.shutdown(wait=False, cancel_futures=True)

    def fail(self, how: str) -> None:
        """From now on requests to S3 find it `closed`, get a `503`, or wait (`silent`); "": it answers again."""
        self._failing = how

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.close()
            return
        answers = asyncio.create_task(_pump(upstream[0], writer))
        try:
            await self._requests(reader, writer, upstream[1])
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (upstream[1], writer):
                end.close()
            answers.cancel()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: asyncio.StreamWriter
    ) -> None:
        while chunk := await reader.read(_CHUNK):
            if (found := _REQUEST.match(chunk)) is not None:
                path = unquote(found[2].decode().partition("?")[0])
                while path == "/" and _incomplete(chunk) and (more := await reader.read(_CHUNK)):
                    chunk += more
                request = Request(method=found[1].decode(), path=path, beginning=chunk.decode(errors="replace"))
                if not await self._loop.run_in_executor(self._watchers, self._watch, request):
                    return
                if request.of_s3 and self._failing and not await self._refuse(writer):
                    return
            upstream.write(chunk)
            await upstream.drain()

    async def _refuse(self, writer: asyncio.StreamWriter) -> bool:
        """Whether the request may go on after all: S3 was silent, and is not any more."""
        if self._failing == "503":
            writer.write(_SLOW_DOWN)
            await writer.drain()
        while self._failing == "silent":
            await asyncio.sleep(0.1)
            if not self._failing:
                return True
        return False


def _incomplete(request: bytes) -> bool:
    """Whether bytes of a request's body are still to come."""
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return not end or (length is not None and len(body) < int(length[1]))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.close()
    except OSError:
        writer.close()
