"""An object store in a folder, so that two processes can share it."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from registry.errors import ObjectExists, ObjectMissing


class FolderStore:
    """Create-if-absent by hard link, which is atomic."""

    def __init__(self, directory: Path) -> None:
        self._objects = directory / "objects"
        self._parts = directory / "parts"
        self._objects.mkdir(parents=True, exist_ok=True)
        self._parts.mkdir(exist_ok=True)

    def create(self, key: str, body: bytes) -> None:
        with tempfile.NamedTemporaryFile(dir=self._parts) as part:
            part.write(body)
            part.flush()
            try:
                os.link(part.name, self._path(key))
            except FileExistsError:
                raise ObjectExists(key) from None

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        self.create(key, path.read_bytes())

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            raise ObjectMissing(key) from None

    def download(self, key: str, path: Path) -> None:
        path.write_bytes(self.get(key))

    def size(self, key: str) -> int | None:
        return self._path(key).stat().st_size if self._path(key).exists() else None

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        keys = sorted(unquote(path.name) for path in self._objects.iterdir())
        return (key for key in keys if key.startswith(prefix) and key > after)

    def _path(self, key: str) -> Path:
        return self._objects / quote(key, safe="")
