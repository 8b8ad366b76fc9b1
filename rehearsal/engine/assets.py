"""Assets and archives as files for the provider, named by their content.

The provider sees the path `assets/<sha256>` below its working directory, so the path changes exactly when the
content does, wherever the project lies, and that is how a change of content is noticed.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rehearsal.engine.errors import Unsupported

_FOLDER = "assets"
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can tell: equal content gives equal bytes


class AssetFolder:
    """Turns assets of a program in `project` into files below `directory`, the provider's working directory."""

    def __init__(self, directory: Path, *, project: Path) -> None:
        self._directory = directory
        self._project = project

    def materialise(self, asset: Mapping[str, Any]) -> str:
        """The path, relative to `directory`, of a file with the content of `asset`."""
        if "text" in asset:
            return self._write(asset["text"].encode())
        if "assets" in asset:
            return self._write(_zip(dict(self._members(asset, ""))))
        path = self._path(asset)
        if path.is_dir():
            return self._write(_zip(dict(self._members(asset, ""))))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        link = self._place(digest)
        if not link.exists():
            temporary = link.with_suffix(f".{os.urandom(4).hex()}")
            temporary.symlink_to(path.resolve())
            temporary.replace(link)
        return f"{_FOLDER}/{digest}"

    def _write(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        place = self._place(digest)
        if not place.exists():
            temporary = place.with_suffix(f".{os.urandom(4).hex()}")
            temporary.write_bytes(content)
            temporary.replace(place)
        return f"{_FOLDER}/{digest}"

    def _place(self, digest: str) -> Path:
        folder = self._directory / _FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        return folder / digest

    def _path(self, asset: Mapping[str, Any]) -> Path:
        if not asset.get("path"):
            raise Unsupported("An asset from a URI is not supported by the embedded engine; use a file or a string.")
        path = self._project / asset["path"]
        if not path.exists():
            raise Unsupported(f"The asset {asset['path']!r} does not exist in the project directory.")
        return path

    def _members(self, asset: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, bytes]]:
        if "assets" in asset:
            for name, inner in asset["assets"].items():
                yield from self._members(inner, f"{prefix}/{name}" if prefix else name)
        elif "text" in asset:
            yield prefix, asset["text"].encode()
        elif (path := self._path(asset)).is_dir():
            for file in sorted(path.rglob("*")):
                if file.is_file():
                    name = file.relative_to(path).as_posix()
                    yield f"{prefix}/{name}" if prefix else name, file.read_bytes()
        else:
            yield prefix, path.read_bytes()


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])
    return buffer.getvalue()
