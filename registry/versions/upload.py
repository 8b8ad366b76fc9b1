"""A version's files on their way into the store: each is read and hashed while it is sent, and sent once."""

import threading
from collections.abc import Callable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from registry import layout
from registry.encoding import sha256_hex
from registry.errors import (
    FileChanged,
    FileCorrupted,
    FileForgotten,
    FileMissing,
    ObjectExists,
    StoreConflict,
    StoreUnavailable,
)
from registry.store.local_files import sha256_of
from registry.store.object_info import Stored
from registry.store.object_store import ObjectStore
from registry.store.transfer import REQUESTS_AT_ONCE, SMALL_BYTES
from registry.version import StoredFile

GRACE = timedelta(days=7)
"""How long a blob that no version uses is left alone, for its publisher may be on its way: see docs/design/registry.md.

Publishers and the collector must agree on it, so it is not a setting.
"""

WORKERS = REQUESTS_AT_ONCE
TRIES = 4
WHOLE_BYTES = 64 * 1024 * 1024
"""Up to here a file is read once, into memory. A larger one is read twice: its key is its hash."""


class Sending:
    """Sends the files of one version; `old` then holds the blobs that were there before, and not since yesterday."""

    def __init__(self, store: ObjectStore, model: str, *, known: Set[str] = frozenset()) -> None:
        """`known`: hashes that recent versions use. They exist; a check costs less than sending again."""
        self._store = store
        self._known = known
        self._model = model
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        self.old: dict[str, str] = {}
        """Blobs that were there already and are older than half the grace: hash -> name of the file."""

    def send(self, files: Mapping[str, Path]) -> list[StoredFile]:
        """Store every file that is not stored; FileMissing, FileChanged, FileCorrupted."""
        sizes = {name: _size(name, path) for name, path in files.items()}
        small = [name for name, size in sizes.items() if size <= SMALL_BYTES]
        with ThreadPoolExecutor(WORKERS) as pool:
            sent = list(pool.map(lambda name: self._send_whole(name, files[name], sizes[name]), small))
        for name in sizes.keys() - set(small):  # one at a time: the parts of a large file go side by side
            send = self._send_whole if sizes[name] <= WHOLE_BYTES else self._send_large
            sent.append(send(name, files[name], sizes[name]))
        return sent

    def refuse_forgotten(self, used: Set[str]) -> None:
        """FileForgotten if an old blob is not among those `used` by versions: nothing keeps the collector from it."""
        for sha256, name in self.old.items():
            if sha256 not in used:
                raise FileForgotten(name, layout.blob_key(self._model, sha256))

    def _send_whole(self, name: str, path: Path, size: int) -> StoredFile:
        before = path.stat()
        body = path.read_bytes()
        after = path.stat()
        if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size) or len(body) != size:
            raise FileChanged(str(path), expected=f"{size} bytes", actual=f"{len(body)} bytes, still being written,")
        file = StoredFile(name=name, sha256=sha256_hex(body), bytes=size)
        probable = file.sha256 in self._known  # an unknown small file costs less to send than to check
        self._store_unless_there(
            file, lambda key: self._store.create(key, body), ask_first=probable or size > SMALL_BYTES
        )
        return file

    def _send_large(self, name: str, path: Path, size: int) -> StoredFile:
        file = StoredFile(name=name, sha256=sha256_of(path), bytes=size)
        self._store_unless_there(
            file, lambda key: self._store.create_from(key, path, sha256=file.sha256), ask_first=True
        )
        return file

    def _store_unless_there(self, file: StoredFile, create: Callable[[str], None], *, ask_first: bool) -> None:
        if not self._is_first(file) or (ask_first and self._is_there(file)):
            return
        key = layout.blob_key(self._model, file.sha256)
        for _ in range(TRIES):
            try:
                create(key)
            except ObjectExists:
                # Another publisher's, or our own first try: the same bytes, for the key is their hash. Unless the
                # collector removed it just now, and it must be sent again.
                if self._is_there(file):
                    return
            except StoreUnavailable:
                if not self._is_there(file):
                    raise
                return
            else:
                return
        raise StoreConflict(f"write {key}", f"it was there, and then it was not, {TRIES} times")

    def _is_first(self, file: StoredFile) -> bool:
        """Whether no other file of this version has the same bytes and is on its way already."""
        with self._lock:
            first = file.sha256 not in self._begun
            self._begun.add(file.sha256)
        return first

    def _is_there(self, file: StoredFile) -> bool:
        key = layout.blob_key(self._model, file.sha256)
        found: Stored | None = self._store.stat(key)
        if found is None:
            return False
        if found.bytes != file.bytes:
            raise FileCorrupted(file.name, expected=f"{file.bytes} bytes at {key}", actual=f"{found.bytes} bytes")
        if found.age > GRACE / 2:
            self.old[file.sha256] = file.name
        return True


def _size(name: str, path: Path) -> int:
    if not path.is_file():
        raise FileMissing(name, str(path))
    return path.stat().st_size
