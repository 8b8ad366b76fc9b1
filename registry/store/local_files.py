"""Files on this machine: hashed in constant memory, written whole or not at all."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def written_whole(path: Path) -> Generator[BinaryIO]:
    """A file to write that takes its name only once it is written; on any error nothing is left behind.

    It may not survive a power cut: anyone who reads it hashes it.
    """
    descriptor, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        part.chmod(0o644)  # mkstemp's 0600 would hide the file from a service that runs as another user
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def removed_on_error(path: Path) -> Generator[BinaryIO]:
    """A new file to write under a name that is not read by others yet; on any error it is removed."""
    try:
        with path.open("wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
