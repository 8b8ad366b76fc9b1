"""A version's files on their way into the store: each is read and hashed while it is sent, and sent once."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Set
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from registry.encoding import sha256_hex
from registry.errors import (
    FileChanged,
    FileCorrupted,
    FileForgotten,
    FileMissing,
    ObjectExists,
    RegistryError,
    StoreConflict,
    StoreUnavailable,
)
from registry.layout.model_store import blob_key
from registry.store.local_files import sha256_of
from registry.store.object_info import Stored
from registry.store.object_store import ObjectStore
from registry.store.transfer import REQUESTS_AT_ONCE, SMALL_BYTES, in_order, outcome_of
from registry.version import StoredFile

GRACE = timedelta(days=7)
"""How long a blob that no version uses is left alone, for its publisher may be on its way: see docs/design/registry.md.

Publishers and the collector must agree on it, so it is not a setting.
"""

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
        sent = self._send_small(small, files, sizes)
        # One at a time: the parts of a large file are sent in parallel.
        for name in (name for name, size in sizes.items() if size > SMALL_BYTES):
            send = self._send_whole if sizes[name] <= WHOLE_BYTES else self._send_large
            sent.append(send(name, files[name], sizes[name]))
        return sent

    def refuse_forgotten(self, used: Set[str]) -> None:
        """FileForgotten if an old blob is not among those `used` by versions: nothing keeps the collector from it."""
        for sha256, name in self.old.items():
            if sha256 not in used:
                raise FileForgotten(name, blob_key(self._model, sha256))

    def _send_small(
        self, names: Sequence[str], files: Mapping[str, Path], sizes: Mapping[str, int]
    ) -> list[StoredFile]:
        """Send new small files without checking first, which costs less; check those that the store may have."""
        found: list[StoredFile] = []
        in_flight: deque[StoredFile] = deque()
        to_check: list[StoredFile] = []

        def new_files() -> Iterator[tuple[str, bytes]]:
            for name in names:
                body = _read(name, files[name], sizes[name])
                file = StoredFile(name=name, sha256=sha256_hex(body), bytes=len(body))
                found.append(file)
                if not self._is_first(file):
                    continue
                if file.sha256 in self._known:
                    to_check.append(file)
                else:
                    in_flight.append(file)
                    yield self._key(file), body

        def ensure_stored(file: StoredFile, outcome: RegistryError) -> None:
            self._ensure_stored(file, outcome, lambda: self._create_from(file, files[file.name]))

        with closing(self._store.create_each(new_files())) as outcomes:
            for outcome in outcomes:
                file = in_flight.popleft()
                if isinstance(outcome, ObjectExists):
                    to_check.append(file)
                elif outcome is not None:  # now, so that nothing more is sent to a store that refuses
                    ensure_stored(file, outcome)
        checked = in_order(
            lambda file: ensure_stored(file, ObjectExists(self._key(file))), to_check, at_once=REQUESTS_AT_ONCE
        )
        deque(checked, maxlen=0)
        return found

    def _send_whole(self, name: str, path: Path, size: int) -> StoredFile:
        body = _read(name, path, size)
        file = StoredFile(name=name, sha256=sha256_hex(body), bytes=size)
        self._store_unless_there(file, lambda: self._store.create(self._key(file), body))
        return file

    def _send_large(self, name: str, path: Path, size: int) -> StoredFile:
        with _naming_what_is_gone(name, path):
            sha256 = sha256_of(path)
        file = StoredFile(name=name, sha256=sha256, bytes=size)
        self._store_unless_there(file, lambda: self._create_from(file, path))
        return file

    def _create_from(self, file: StoredFile, path: Path) -> None:
        with _naming_what_is_gone(file.name, path):
            self._store.create_from(self._key(file), path, sha256=file.sha256)

    def _store_unless_there(self, file: StoredFile, create: Callable[[], None]) -> None:
        if self._is_first(file) and not self._is_there(file):
            self._ensure_stored(file, outcome_of(create), create)

    def _ensure_stored(self, file: StoredFile, outcome: RegistryError | None, create: Callable[[], None]) -> None:
        """Ensure that a file is stored, after a first attempt to create it ended with `outcome`.

        An existing object is from another publisher or from our own first attempt. It has the same bytes, because its
        key is their hash. If there is none after all, garbage collection has just removed it: send the file again.
        """
        for left in reversed(range(TRIES)):
            if outcome is None:
                return
            if not isinstance(outcome, ObjectExists | StoreUnavailable):
                raise outcome
            if self._is_there(file):
                return
            if isinstance(outcome, StoreUnavailable):
                raise outcome
            if left:
                outcome = outcome_of(create)
        raise StoreConflict(f"write {self._key(file)}", f"the object existed and then did not, {TRIES} times")

    def _key(self, file: StoredFile) -> str:
        return blob_key(self._model, file.sha256)

    def _is_first(self, file: StoredFile) -> bool:
        """Whether no other file of this version with the same bytes is being sent already."""
        with self._lock:
            first = file.sha256 not in self._begun
            self._begun.add(file.sha256)
        return first

    def _is_there(self, file: StoredFile) -> bool:
        key = self._key(file)
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


@contextmanager
def _naming_what_is_gone(name: str, path: Path) -> Generator[None]:
    """FileMissing for a file that was there when the publish began."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileMissing(name, str(path)) from error


def _read(name: str, path: Path, size: int) -> bytes:
    """A file's bytes; FileMissing if it is gone, FileChanged if it is still being written."""
    with _naming_what_is_gone(name, path):
        before = path.stat()
        body = path.read_bytes()
        after = path.stat()
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size) or len(body) != size:
        raise FileChanged(str(path), expected=f"{size} bytes", actual=f"{len(body)} bytes, still being written,")
    return body
