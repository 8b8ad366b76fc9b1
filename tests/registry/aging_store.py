"""A store whose objects age by a test's clock."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from registry.errors import RegistryError
from registry.store.object_info import Revision, Stored
from registry.store.object_store import PrunableStore
from registry.store.transfer import create_each, get_each


class AgingStore:
    """Wraps a store. `elapse` makes everything that is there by now older; what comes later is new."""

    def __init__(self, store: PrunableStore) -> None:
        self._store = store
        self._elapsed: dict[str, timedelta] = {}

    def elapse(self, time: timedelta) -> None:
        for stored in self._store.stats(""):
            self._elapsed[stored.key] = self._elapsed.get(stored.key, timedelta()) + time

    def create(self, key: str, body: bytes) -> None:
        self._store.create(key, body)

    def create_each(self, objects: Iterable[tuple[str, bytes]]) -> Generator[RegistryError | None]:
        return create_each(self.create, objects)

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        self._store.create_from(key, path, sha256=sha256)

    def get(self, key: str) -> bytes:
        return self._store.get(key)

    def get_each(self, keys: Iterable[str]) -> Generator[bytes]:
        return get_each(self.get, keys)

    def chunks(self, key: str) -> Iterator[bytes]:
        return self._store.chunks(key)

    def download(self, key: str, path: Path, *, size: int | None = None) -> str:
        return self._store.download(key, path, size=size)

    def stat(self, key: str) -> Stored | None:
        found = self._store.stat(key)
        return None if found is None else self._older(found)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        return self._store.keys(prefix, after=after)

    def stats(self, prefix: str) -> Iterator[Stored]:
        return map(self._older, self._store.stats(prefix))

    def delete(self, key: str) -> None:
        self._store.delete(key)
        self._elapsed.pop(key, None)

    def revisions(self, prefix: str) -> Iterator[Revision]:
        return self._store.revisions(prefix)

    def _older(self, stored: Stored) -> Stored:
        return replace(stored, age=stored.age + self._elapsed.get(stored.key, timedelta()))
