"""An object store in a dictionary: for tests, and as the reference for the others."""

import bisect
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from registry.clock import Clock, utc_now
from registry.encoding import sha256_hex
from registry.errors import FileChanged, ObjectExists, ObjectMissing, RegistryError
from registry.store.local_files import removed_on_error
from registry.store.object_info import Revision, Stored
from registry.store.transfer import create_each, get_each

_CHUNK_BYTES = 64 * 1024
_PAGE = 1000
"""Keys that are listed at a time, as S3 does: later keys that change in between are listed in their new state."""


@dataclass(frozen=True, kw_only=True)
class _Kept:
    body: bytes | None  # None: a deletion
    at: datetime


class MemoryStore:
    """An ObjectStore, and a PrunableStore, that keeps every revision as a bucket with versioning does."""

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._objects: dict[str, _Kept] = {}
        self._past: dict[str, list[_Kept]] = {}
        self._sorted: list[str] = []
        self._ever: list[str] = []
        self._lock = threading.Lock()

    def create(self, key: str, body: bytes) -> None:
        """See ObjectStore."""
        with self._lock:
            if key in self._objects:
                raise ObjectExists(key)
            self._objects[key] = _Kept(body=bytes(body), at=self._clock())
            if key not in self._past:
                bisect.insort(self._ever, key)
            self._past.setdefault(key, []).append(self._objects[key])
            bisect.insort(self._sorted, key)

    def create_each(self, objects: Iterable[tuple[str, bytes]]) -> Generator[RegistryError | None]:
        """See ObjectStore."""
        return create_each(self.create, objects)

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        """See ObjectStore."""
        body = path.read_bytes()
        if sha256 is not None and sha256_hex(body) != sha256:
            raise FileChanged(str(path), expected=sha256, actual=sha256_hex(body))
        self.create(key, body)

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        with self._lock:
            kept = self._objects.get(key)
        if kept is None or kept.body is None:
            raise ObjectMissing(key)
        return kept.body

    def get_each(self, keys: Iterable[str]) -> Generator[bytes]:
        """See ObjectStore."""
        return get_each(self.get, keys)

    def chunks(self, key: str) -> Iterator[bytes]:
        """See ObjectStore."""
        body = self.get(key)
        yield from (body[start : start + _CHUNK_BYTES] for start in range(0, len(body), _CHUNK_BYTES))

    def download(self, key: str, path: Path, *, size: int | None = None) -> str:  # noqa: ARG002  one read is enough
        """See ObjectStore."""
        body = self.get(key)
        with removed_on_error(path) as file:
            file.write(body)
        return sha256_hex(body)

    def stat(self, key: str) -> Stored | None:
        """See ObjectStore."""
        with self._lock:
            kept = self._objects.get(key)
        return None if kept is None else self._stored(key, kept)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        return self._listed(self._sorted, prefix, after)

    def stats(self, prefix: str) -> Iterator[Stored]:
        """See ObjectStore."""
        found = ((key, self._objects.get(key)) for key in self._listed(self._sorted, prefix))
        return (self._stored(key, kept) for key, kept in found if kept is not None)

    def delete(self, key: str) -> None:
        """See PrunableStore."""
        with self._lock:
            if self._objects.pop(key, None) is not None:
                self._sorted.remove(key)
                self._past[key].append(_Kept(body=None, at=self._clock()))

    def revisions(self, prefix: str) -> Iterator[Revision]:
        """See PrunableStore."""
        for key in self._listed(self._ever, prefix):
            for place, kept in enumerate(reversed(list(self._past[key]))):
                yield Revision(key=key, latest=place == 0, deleted=kept.body is None)

    def _listed(self, keys: list[str], prefix: str, after: str = "") -> Iterator[str]:
        while True:
            with self._lock:
                first = max(bisect.bisect_right(keys, after), bisect.bisect_left(keys, prefix))
                page = keys[first : first + _PAGE]
            for key in page:
                if not key.startswith(prefix):
                    return
                yield key
            if not page:
                return
            after = page[-1]

    def _stored(self, key: str, kept: _Kept) -> Stored:
        return Stored(key=key, bytes=len(kept.body or b""), age=self._clock() - kept.at)
