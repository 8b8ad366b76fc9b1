"""An object store in a folder, so that processes can share it without a server."""

import hashlib
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from registry.errors import ObjectExists, ObjectMissing, RegistryError
from registry.store.object_info import Stored
from registry.store.transfer import create_each, get_each


class FolderStore:
    """Create-if-absent by hard link, which is atomic. Each prefix up to the last slash is a folder."""

    def __init__(self, directory: Path) -> None:
        self._objects = directory / "objects"
        self._parts = directory / "parts"
        self._objects.mkdir(parents=True, exist_ok=True)
        self._parts.mkdir(exist_ok=True)

    def create(self, key: str, body: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._parts) as part:
            part.write(body)
            part.flush()
            try:
                os.link(part.name, path)
            except FileExistsError:
                raise ObjectExists(key) from None

    def create_each(self, objects: Iterable[tuple[str, bytes]]) -> Generator[RegistryError | None]:
        return create_each(self.create, objects)

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        self.create(key, path.read_bytes())

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            raise ObjectMissing(key) from None

    def get_each(self, keys: Iterable[str]) -> Generator[bytes]:
        return get_each(self.get, keys)

    def chunks(self, key: str) -> Iterator[bytes]:
        yield self.get(key)

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def download(self, key: str, path: Path, *, size: int | None = None) -> str:
        path.write_bytes(self.get(key))
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def stat(self, key: str) -> Stored | None:
        try:
            found = self._path(key).stat()
        except FileNotFoundError:
            return None
        age = datetime.now(UTC) - datetime.fromtimestamp(found.st_mtime, UTC)
        return Stored(key=key, bytes=found.st_size, age=age)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        folders = sorted(folder for folder in self._objects.iterdir() if _overlap(unquote(folder.name), prefix))
        for folder in folders:
            for name in sorted(path.name for path in folder.iterdir()):
                key = unquote(folder.name) + unquote(name)
                if key.startswith(prefix) and key > after:
                    yield key

    def stats(self, prefix: str) -> Iterator[Stored]:
        return (found for key in self.keys(prefix) if (found := self.stat(key)) is not None)

    def _path(self, key: str) -> Path:
        folder, slash, name = key.rpartition("/")
        return self._objects / quote(folder + slash or ".", safe="") / quote(name, safe="")


def _overlap(folder: str, prefix: str) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)
