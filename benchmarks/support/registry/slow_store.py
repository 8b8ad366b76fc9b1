"""A store in memory with the latency of a bucket, which counts requests."""

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import batched
from pathlib import Path

from registry.errors import RegistryError
from registry.store.memory_store import MemoryStore
from registry.store.object_info import Revision, Stored
from registry.store.object_store import PrunableStore
from registry.store.transfer import create_each, get_each

PAGE = 1000
"""Objects that S3 lists in one request."""


class SlowStore:
    """A PrunableStore. `calls` are requests; `depth` is the longest chain of them, each sent after one had returned."""

    def __init__(self, inner: MemoryStore, *, seconds: float) -> None:
        self._inner: PrunableStore = inner
        self._seconds = seconds
        self._lock = threading.Lock()
        self.calls = 0
        self.depth = 0

    @contextmanager
    def _request(self) -> Generator[None]:
        with self._lock:
            self.calls += 1
            behind = self.depth
        time.sleep(self._seconds)
        yield
        with self._lock:
            self.depth = max(self.depth, behind + 1)

    def create(self, key: str, body: bytes) -> None:
        """See ObjectStore."""
        with self._request():
            self._inner.create(key, body)

    def create_each(self, objects: Iterable[tuple[str, bytes]]) -> Generator[RegistryError | None]:
        """See ObjectStore."""
        return create_each(self.create, objects)

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        """See ObjectStore."""
        with self._request():
            self._inner.create_from(key, path, sha256=sha256)

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        with self._request():
            return self._inner.get(key)

    def get_each(self, keys: Iterable[str]) -> Generator[bytes]:
        """See ObjectStore."""
        return get_each(self.get, keys)

    def chunks(self, key: str) -> Iterator[bytes]:
        """See ObjectStore."""
        with self._request():
            yield from self._inner.chunks(key)

    def download(self, key: str, path: Path, *, size: int | None = None) -> str:
        """See ObjectStore."""
        with self._request():
            return self._inner.download(key, path, size=size)

    def stat(self, key: str) -> Stored | None:
        """See ObjectStore."""
        with self._request():
            return self._inner.stat(key)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        return self._paged(self._inner.keys(prefix, after=after))

    def stats(self, prefix: str) -> Iterator[Stored]:
        """See ObjectStore."""
        return self._paged(self._inner.stats(prefix))

    def delete(self, key: str) -> None:
        """See PrunableStore."""
        with self._request():
            self._inner.delete(key)

    def revisions(self, prefix: str) -> Iterator[Revision]:
        """See PrunableStore."""
        return self._paged(self._inner.revisions(prefix))

    def _paged[T](self, found: Iterator[T]) -> Iterator[T]:
        pages = batched(found, PAGE, strict=False)
        while True:
            with self._request():
                page = next(pages, ())
            yield from page
            if len(page) < PAGE:
                return
