"""The code that instances run, as one zip named by its hash: the same files give the same bytes everywhere."""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CONTENT = (
    "bootstrap.sh",
    "camera",
    "imaging",
    "monitoring",
    "petpark",
    "registry",
    "requirements",
    "serving",
    "training",
)
"""What an instance needs; everything else of the repository stays out."""

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can say
_UNIX = 3
_IGNORED_SUFFIXES = frozenset({".pyc", ".pyo"})


class CodeIncomplete(FileNotFoundError):
    """A part of the code bundle is not where it should be."""


def build(root: Path, out: Path) -> tuple[Path, str]:
    """Zip the code under `root` to `out/<sha256>.zip`; returns the file and the hash.

    The bytes depend on names and contents only: not on times, permissions, the order of the file system, or the
    compression library (nothing is compressed). Raises `CodeIncomplete`.
    """
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f".{os.getpid()}.zip"
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as bundle:
            for name in sorted(_files(root)):
                bundle.writestr(_entry(name), (root / name).read_bytes())
        sha256 = hashlib.sha256(temporary.read_bytes()).hexdigest()
        return temporary.replace(out / f"{sha256}.zip"), sha256
    finally:
        temporary.unlink(missing_ok=True)


def _files(root: Path) -> Iterator[str]:
    for part in CONTENT:
        path = root / part
        if not path.exists():
            raise CodeIncomplete(f"the code bundle needs {part}, which is not in {root}; run from a whole checkout")
        candidates = path.rglob("*") if path.is_dir() else (path,)
        for file in candidates:
            name = PurePosixPath(file.relative_to(root).as_posix())
            if file.is_file() and not _is_leftover(name):
                yield str(name)


def _is_leftover(name: PurePosixPath) -> bool:
    """Returns whether a tool left the file behind: caches, compiled code, editors' files."""
    hidden = any(part.startswith(".") or part == "__pycache__" for part in name.parts)
    return hidden or name.suffix in _IGNORED_SUFFIXES or name.name.endswith("~")


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.create_system = _UNIX
    entry.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
    return entry
