"""Archives unpacked so that nothing lands outside of the folder, and Go's hash over what they held."""

from __future__ import annotations

import base64
import hashlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from petpark.downloads.errors import ArchiveRefused

_CHUNK = 1024 * 1024
_FROM_THE_PUBLISHER = "Fetch the archive from its publisher, not from a mirror."


def unpack(archive: Path, folder: Path, *, limit: int) -> None:
    """Unpack a `.zip` or `.tar.gz` into `folder`, which is made.

    Raises `ArchiveRefused` for a damaged archive, for one with a name that is absolute, leads out of `folder` or comes
    twice, with a link or a device in it, and for one that holds more than `limit` bytes.
    """
    folder.mkdir(parents=True)
    try:
        if archive.suffix == ".zip":
            _unzip(archive, folder, limit)
        else:
            _untar(archive, folder, limit)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ArchiveRefused(f"{archive.name} is damaged: {error}.", next_step=_FROM_THE_PUBLISHER) from error


def dirhash(folder: Path) -> str:
    """Terraform's `h1:` hash of what an archive held: Go's dirhash.Hash1 over its files' names and SHA-256.

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
        _check_names(archive, [member.filename for member in members])
        if sum(member.file_size for member in members) > limit:
            raise _unsafe(archive, f"more than {limit} bytes")
        for member in members:
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _unsafe(archive, f"{member.filename!r}, which is no regular file")
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
        names: list[str] = []
        for member in opened:
            names.append(member.name)
            _check_names(archive, names[-1:])
            total += member.size
            if not (member.isreg() or member.isdir()):
                raise _unsafe(archive, f"{member.name!r}, which is no regular file")
            if total > limit:
                raise _unsafe(archive, f"more than {limit} bytes")
            opened.extract(member, folder, filter="data")
        _check_names(archive, names)


def _check_names(archive: Path, names: list[str]) -> None:
    for name in names:
        path = PurePosixPath(name)
        if not name.isprintable() or "\\" in name or path.is_absolute() or ".." in path.parts or not path.parts:
            raise _unsafe(archive, f"the name {name!r}")
    if len({PurePosixPath(name) for name in names}) != len(names):
        raise _unsafe(archive, "the same name twice")


def _unsafe(archive: Path, what: str) -> ArchiveRefused:
    return ArchiveRefused(f"{archive.name} holds {what}; nothing was installed.", next_step=_FROM_THE_PUBLISHER)
