"""SHA-256 of an object while it is received: by a second thread, because hashing takes as long as receiving."""

import contextlib
import hashlib
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

WORTH_A_THREAD = 4 * 1024 * 1024
"""Bytes of an object from which on a second thread is worth starting."""
CHUNKS_AHEAD = 4
"""Chunks in memory that are not hashed yet; `update` waits when there are more."""


class Hash(Protocol):
    """The part of a `hashlib` object that is used here."""

    def update(self, chunk: bytes, /) -> None:
        """Add bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the hash of all bytes so far."""
        ...


class SideHash:
    """A SHA-256 whose `update` returns before the chunk is hashed. Chunks are hashed in the order of the calls.

    One thread at a time may call it. hashlib releases the interpreter's lock while it hashes more than 2,047 bytes.
    https://docs.python.org/3/library/hashlib.html
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        """`pool` has one thread."""
        self._pool = pool
        self._seen = hashlib.sha256()
        self._ahead: deque[Future[None]] = deque()

    def update(self, chunk: bytes, /) -> None:
        """Hash these bytes after those before; waits while `CHUNKS_AHEAD` others are not hashed."""
        while len(self._ahead) >= CHUNKS_AHEAD:
            self._ahead.popleft().result()
        self._ahead.append(self._pool.submit(self._seen.update, chunk))

    def hexdigest(self) -> str:
        """The SHA-256 of all chunks, in hexadecimal."""
        while self._ahead:
            self._ahead.popleft().result()
        return self._seen.hexdigest()


@contextlib.contextmanager
def hash_of(size: int | None) -> Generator[Hash]:
    """A SHA-256 for an object of `size` bytes; None: unknown, and then it is hashed by the thread that calls."""
    if size is None or size < WORTH_A_THREAD:
        yield hashlib.sha256()
        return
    with ThreadPoolExecutor(1) as pool:
        yield SideHash(pool)
