"""Request bodies, read within limits on size and time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from serving.http.connections import peer_of
from serving.http.content_encoding import Compressed, Identity, decoder
from serving.problems import BAD_REQUEST, BODY_TOO_SLOW, OVERLOADED, TOO_LARGE, Problem
from serving.settings import Limits


class Bodies:
    """Reads bodies, and counts the bytes of all bodies in memory. For one event loop.

    `shares`: whether each caller's address has its own limit; behind a load balancer all callers have its address.
    """

    def __init__(self, limits: Limits, *, shares: bool = True) -> None:
        self._limits = limits
        self._shares = shares
        self._decoding = ThreadPoolExecutor(1, thread_name_prefix="decode-body")
        self._held = 0
        self._peers: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """Bytes of all bodies in memory."""
        return self._held

    def read(self, request: Request) -> "HeldBody":
        """Returns a context manager with the body, decompressed according to its Content-Encoding.

        Raises `Problem`: 413 beyond the size limit, compressed or not (immediately, if Content-Length exceeds it), 408
        if it arrives too slowly, 415 for an unknown and 422 for an invalid encoding, 503 if the bodies of all requests
        would exceed their limit.
        """
        return HeldBody(self, request)

    async def receive(self, request: Request, held: "HeldBody") -> bytes:
        """Returns a request's body, with its bytes counted in `held`. Raises `Problem`, as `read`."""
        self._check_announced(request)
        decoding = decoder(request.headers.get("content-encoding"))
        held.peer = peer_of(request.client.host) if self._shares and request.client else None
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for chunk in _chunks(request):
                    if isinstance(decoding, Identity):
                        self._add(chunk, chunks, held)
                    else:
                        async for piece in self._decoded(decoding, chunk):
                            self._add(piece, chunks, held)
        except TimeoutError:
            seconds = self._limits.body_seconds
            raise Problem(BODY_TOO_SLOW, f"The body did not arrive within {seconds:g} seconds.") from None
        decoding.end()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def release(self, held: "HeldBody") -> None:
        """Stop counting the bytes of `held`."""
        self._release(held.size, held.peer)

    @contextmanager
    def holding(self, size: int) -> Generator[None]:
        """Count `size` bytes that were not received over HTTP. Raises `Problem` (503)."""
        self._hold(size, None)
        try:
            yield
        finally:
            self._release(size, None)

    async def _decoded(self, decoding: Compressed, chunk: bytes) -> AsyncIterator[bytes]:
        """Decompress on a thread, so that the event loop is not blocked.

        All bodies share one thread, which decodes their pieces in turn: compressed bodies use at most one core.
        """
        pieces, loop = decoding.pieces(chunk), asyncio.get_running_loop()
        while (piece := await loop.run_in_executor(self._decoding, next, pieces, None)) is not None:
            yield piece

    def _add(self, piece: bytes, chunks: list[bytes], held: "HeldBody") -> None:
        self._hold(len(piece), held.peer)
        held.size += len(piece)
        self._check_size(held.size)
        chunks.append(piece)

    def _check_announced(self, request: Request) -> None:
        announced = request.headers.get("content-length", "0")
        if not announced.isascii() or not announced.isdigit():
            raise Problem(BAD_REQUEST, "Content-Length is not a valid number.")
        self._check_size(int(announced[:20]))

    def _check_size(self, size: int) -> None:
        if size > self._limits.body_bytes:
            raise Problem(TOO_LARGE, f"The body has {size:,} bytes or more; the limit is {self._limits.body_bytes:,}.")

    def _hold(self, size: int, peer: str | None) -> None:
        if self._held + size > self._limits.held_bytes:
            raise Problem(OVERLOADED, "Too many large requests at the same time. Retry after a moment.", retry_after=1)
        if peer is not None:
            if self._peers[peer] + size > self._limits.peer_held_bytes:
                detail = "Too many large requests from your address at the same time. Retry after a moment."
                raise Problem(OVERLOADED, detail, retry_after=1)
            self._peers[peer] += size
        self._held += size

    def _release(self, size: int, peer: str | None) -> None:
        self._held -= size
        if peer is not None:
            self._peers[peer] -= size
            if not self._peers[peer]:
                del self._peers[peer]


class HeldBody:
    """A body, counted while an `async with` block runs. A generator-based one would be three times as slow."""

    __slots__ = ("_bodies", "_request", "peer", "size")

    def __init__(self, bodies: Bodies, request: Request) -> None:
        self._bodies = bodies
        self._request = request
        self.size = 0
        """Bytes of the body in memory."""
        self.peer: str | None = None

    async def __aenter__(self) -> bytes:
        try:
            return await self._bodies.receive(self._request, self)
        except BaseException:
            self._bodies.release(self)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._bodies.release(self)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the received chunks. Raises `ClientDisconnect` if the body ends early.

    The body ends with the last byte of its Content-Length: waiting for the server's end message would cost another
    switch of threads. RFC 9112, section 6.3: Transfer-Encoding overrides Content-Length.
    """
    announced = None if "transfer-encoding" in request.headers else request.headers.get("content-length")
    left = None if announced is None else int(announced.lstrip("0")[:20] or 0)
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if left is not None:
            left -= len(chunk)
            more = more and left > 0
        if chunk:
            yield chunk
