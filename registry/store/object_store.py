"""The object store protocol: create-if-absent, read, list. It never overwrites anything."""

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from registry.errors import RegistryError
from registry.store.object_info import Revision, Stored


class ObjectStore(Protocol):
    """The verbs of S3 that petpark needs, and the errors they may end with.

    Every verb may also raise StoreUnavailable (no answer within the retry budget; a write may or may not have taken
    effect: read the key back), StoreRefused (permissions, no such bucket) and ClockSkewed.
    """

    def create(self, key: str, body: bytes) -> None:
        """Store `body` unless the key is taken: ObjectExists, even if this very call's lost first try took it."""
        ...

    def create_each(self, objects: Iterable[tuple[str, bytes]]) -> Generator[RegistryError | None]:
        """Store small objects, many at a time. Yields for each, in order, what `create` would raise; None if stored.

        Raises an error if none can be sent at all, such as without credentials.
        """
        ...

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        """The same for a file of any size, in bounded memory. FileChanged if the bytes sent do not have that hash."""
        ...

    def get(self, key: str) -> bytes:
        """The object's bytes; ObjectMissing."""
        ...

    def get_each(self, keys: Iterable[str]) -> Generator[bytes]:
        """The bytes of small objects in the order of their keys, many requested at a time; ends as `get` of the first
        that fails.
        """
        ...

    def chunks(self, key: str) -> Iterator[bytes]:
        """The object's bytes in order, in bounded memory, however slowly they are taken; ObjectMissing.

        StreamTorn if it is another object than at the beginning, or its bytes end too soon.
        """
        ...

    def download(self, key: str, path: Path, *, size: int | None = None) -> str:
        """The object's bytes into a file, which is removed on any error; ObjectMissing.

        `path` is a temporary name: the caller compares the hash, then renames the file.
        `size`: its bytes, if they are known; a large object then comes in several parts at once, and is hashed during
        the write. Returns the SHA-256 of what was written, in hexadecimal.
        """
        ...

    def stat(self, key: str) -> Stored | None:
        """Metadata of an object; None if there is no object."""
        ...

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """All keys with this prefix that sort behind `after`, ascending; listed by the thousand as they are needed."""
        ...

    def stats(self, prefix: str) -> Iterator[Stored]:
        """Metadata of every object with this prefix, ascending by key."""
        ...


class PrunableStore(ObjectStore, Protocol):
    """What only the garbage collector, and who looks for traces of rewriting, need besides."""

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens if there is none. A bucket with versions keeps its bytes for a while."""
        ...

    def revisions(self, prefix: str) -> Iterator[Revision]:
        """Every revision under this prefix, ascending by key, the newest first.

        In a store where nothing was overwritten or deleted, each key has exactly one.
        """
        ...
