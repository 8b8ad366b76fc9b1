"""Where objects live: create-if-absent, read, list. Nothing is ever overwritten or deleted through here."""

import bisect
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from registry.encoding import sha256_hex
from registry.errors import FileChanged, ObjectExists, ObjectMissing
from registry.local_files import written_whole
from registry.s3_store import S3Store, s3_client

__all__ = ["MemoryStore", "ObjectStore", "S3Store", "s3_client"]


class ObjectStore(Protocol):
    """Five verbs of S3, and the errors they may end with.

    Every verb may also raise StoreUnavailable (no answer within the retry budget; a write may or may not have taken
    effect: read the key back) and StoreRefused (permissions, no such bucket).
    """

    def create(self, key: str, body: bytes) -> None:
        """Store `body` unless the key is taken: ObjectExists, even if this very call's lost first try took it."""
        ...

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        """The same for a file of any size, in bounded memory. FileChanged if the bytes sent do not have that hash."""
        ...

    def get(self, key: str) -> bytes:
        """The object's bytes; ObjectMissing."""
        ...

    def download(self, key: str, path: Path) -> None:
        """The object's bytes into a file, which appears whole or not at all; ObjectMissing."""
        ...

    def size(self, key: str) -> int | None:
        """The object's size in bytes; None if there is no object."""
        ...

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """All keys with this prefix that sort behind `after`, ascending; listed by the thousand as they are needed."""
        ...


class MemoryStore:
    """An ObjectStore in a dictionary: for tests, and as the model of what the others must do."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._sorted: list[str] = []
        self._lock = threading.Lock()

    def create(self, key: str, body: bytes) -> None:
        """See ObjectStore."""
        with self._lock:
            if key in self._objects:
                raise ObjectExists(key)
            self._objects[key] = bytes(body)
            bisect.insort(self._sorted, key)

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        """See ObjectStore."""
        body = path.read_bytes()
        if sha256 is not None and sha256_hex(body) != sha256:
            raise FileChanged(str(path), expected=sha256, actual=sha256_hex(body))
        self.create(key, body)

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        with self._lock:
            if key not in self._objects:
                raise ObjectMissing(key)
            return self._objects[key]

    def download(self, key: str, path: Path) -> None:
        """See ObjectStore."""
        body = self.get(key)
        with written_whole(path) as file:
            file.write(body)

    def size(self, key: str) -> int | None:
        """See ObjectStore."""
        with self._lock:
            body = self._objects.get(key)
        return None if body is None else len(body)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        with self._lock:
            first = max(bisect.bisect_right(self._sorted, after), bisect.bisect_left(self._sorted, prefix))
            found = self._sorted[first:]
        for key in found:
            if not key.startswith(prefix):
                return
            yield key
