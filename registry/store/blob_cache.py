"""Verified files on this machine, by their hash: fetched once, hashed again at each use."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from registry.store.local_files import sha256_of

LIMIT_BYTES = 4 * 1024**3


class BlobCache:
    """A folder of files that are named by their SHA-256. Any number of processes may share it.

    Nothing in it is trusted: a file that does not hash to its name any more is thrown away.
    """

    def __init__(self, directory: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._directory = directory / "sha256"
        self._limit_bytes = limit_bytes

    def copy_to(self, sha256: str, path: Path) -> bool:
        """Put the file of that hash at `path`, verified now; False if it is not here."""
        kept = self._directory / sha256
        part = path.with_name(f".part-{secrets.token_hex(8)}")
        try:
            _link(kept, part)
            if sha256_of(part) != sha256:
                kept.unlink(missing_ok=True)
                return False
            part.replace(path)
        except OSError:
            return False
        finally:
            part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another process may have evicted it just now
            os.utime(kept)
        return True

    def keep(self, sha256: str, path: Path) -> None:
        """Remember a file that was just verified. A full disk, or no right to write here, is not an error."""
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            kept = self._directory / sha256
            part = self._directory / f".part-{secrets.token_hex(8)}"
            try:
                if not kept.exists():
                    _link(path, part)
                    part.replace(kept)
            finally:
                part.unlink(missing_ok=True)

    def evict(self, *, spare: Iterable[str] = ()) -> None:
        """Remove the least recently used files until the limit is kept; those in `spare` stay."""
        spared = set(spare)
        with contextlib.suppress(OSError):
            kept = [(path.stat(), path) for path in self._directory.iterdir()]
            room = self._limit_bytes - sum(found.st_size for found, _ in kept)
            for found, path in sorted(kept, key=lambda entry: entry[0].st_mtime):
                if room >= 0:
                    return
                if path.name not in spared:
                    path.unlink(missing_ok=True)
                    room += found.st_size


def _link(source: Path, target: Path) -> None:
    """A second name for the same bytes, or a copy where the file system cannot."""
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
