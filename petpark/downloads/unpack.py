"""Archives unpacked so that nothing lands outside of the folder, and Go's hash over their content."""

from __future__ import annotations

import base64
import gzip
import hashlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from petpark.downloads.errors import ArchiveRefused

_CHUNK = 1024 * 1024
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,  # an OSError, and the only one that is valid for the archive
    zlib.error,
    EOFError,
    UnicodeDecodeError,  # a name marked as UTF-8 that is not
    NotImplementedError,
    RuntimeError,
)
_LONGEST_PART, _LONGEST_NAME = 255, 1024
"""Bytes: what Linux takes (NAME_MAX), and enough below PATH_MAX for the folder in front."""
_FROM_THE_PUBLISHER = "Fetch the archive from its publisher, not from a mirror."


def unpack(archive: Path, folder: Path, *, limit: int) -> None:
    """Unpack a `.zip` or `.tar.gz` into `folder`, which is made.

    Raises `ArchiveRefused` for a damaged archive, for one with a name that is absolute, leads out of `folder`, comes
    twice, is too long, or is a file and a folder at once, with a link or a device in it, and for one that holds more
    than `limit` bytes.
    """
    folder.mkdir(parents=True)
    try:
        if archive.suffix == ".zip":
            _unzip(archive, folder, limit)
        else:
            _untar(archive, folder, limit)
    except _DAMAGED as error:
        raise ArchiveRefused(f"{archive.name} is damaged: {error}.", next_step=_FROM_THE_PUBLISHER) from error


def dirhash(folder: Path) -> str:
    """Terraform's `h1:` hash of an archive's content: Go's dirhash.Hash1 over its files' names and SHA-256.

    https://pkg.go.dev/golang.org/x/mod/sumdb/dirhash#Hash1
    """
    lines: list[str] = []
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    lines.sort(key=lambda line: line.partition("  ")[2])
    return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()


def _unzip(archive: Path, folder: Path, limit: int) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        names = _Names(archive)
        for member in members:
            names.add(member.filename, is_folder=member.is_dir())
        if sum(member.file_size for member in members) > limit:
            raise _unsafe(archive, f"more than {limit} bytes")
        for member in members:
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _unsafe(archive, f"{member.filename!r}, which is not a regular file")
            path = folder / member.filename
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            # zipfile reads no more than the size that the archive's index states, and checks the CRC-32
            with opened.open(member) as source, path.open("xb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
            path.chmod(0o755 if mode & 0o111 else 0o644)


def _untar(archive: Path, folder: Path, limit: int) -> None:
    with tarfile.open(archive, "r:gz") as opened:
        total = 0
        names = _Names(archive)
        for member in opened:
            names.add(member.name, is_folder=member.isdir())
            total += member.size
            if not (member.isreg() or member.isdir()):
                raise _unsafe(archive, f"{member.name!r}, which is not a regular file")
            if total > limit:
                raise _unsafe(archive, f"more than {limit} bytes")
            opened.extract(member, folder, filter="data")


class _Names:
    """The names of an archive, each checked before it is unpacked."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._files: set[PurePosixPath] = set()
        self._folders: set[PurePosixPath] = set()
        self._parents: set[PurePosixPath] = set()

    def add(self, name: str, *, is_folder: bool) -> None:
        path = PurePosixPath(name)
        if not name.isprintable() or "\\" in name or path.is_absolute() or ".." in path.parts or not path.parts:
            raise _unsafe(self._archive, f"the name {name!r}")
        if len(path.as_posix().encode()) > _LONGEST_NAME or any(
            len(part.encode()) > _LONGEST_PART for part in path.parts
        ):
            raise _unsafe(self._archive, f"a name of {len(name)} characters")
        if path in self._files or path in self._folders:
            raise _unsafe(self._archive, "the same name twice")
        parents = set(path.parents)
        if not self._files.isdisjoint(parents) or (not is_folder and path in self._parents):
            raise _unsafe(self._archive, f"{name!r} as a file and as a folder")
        (self._folders if is_folder else self._files).add(path)
        self._parents |= parents


def _unsafe(archive: Path, what: str) -> ArchiveRefused:
    return ArchiveRefused(f"{archive.name} contains {what}; nothing was installed.", next_step=_FROM_THE_PUBLISHER)
