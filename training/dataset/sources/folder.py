"""Photos in a folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.dataset.sources.source import (
    MAX_BYTES,
    Candidate,
    SkippedFile,
    Unreadable,
    bad_name,
    printable,
    too_large,
)
from training.errors import DatasetRefused


@dataclass(frozen=True)
class FolderSource:
    """The files below a folder, ascending by name in each folder; hidden ones are left alone."""

    directory: Path

    def count(self) -> int | None:
        """See Source."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Candidate | SkippedFile]:
        """See Source."""
        if not self.directory.is_dir():
            raise DatasetRefused(
                f"{self.directory} is not a folder; pass a folder with one subfolder of photos per class"
            )
        yield from self._below(self.directory, "")

    def _below(self, directory: Path, prefix: str) -> Iterator[Candidate | SkippedFile]:
        try:
            with os.scandir(directory) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:  # removed in between, or not readable
            yield SkippedFile(key=printable(prefix), reason=_reason(error))
            return
        for entry in entries:
            key = prefix + entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._below(directory / entry.name, f"{key}/")
            elif reason := bad_name(key):
                yield SkippedFile(key=printable(key), reason=reason)
            elif reason := _not_a_file(entry):
                yield SkippedFile(key=key, reason=reason)
            else:
                yield Candidate(key=key, read=Read(directory / entry.name))


def _not_a_file(entry: os.DirEntry[str]) -> str | None:
    """Why an entry cannot be read as a file; None if it can. A link counts as what it leads to."""
    try:
        return None if entry.is_file() else "not a regular file"
    except OSError as error:  # a link that leads to itself, or to where we may not look
        return _reason(error)


@dataclass(frozen=True)
class Read:
    """The bytes of a file, for a Candidate; Unreadable if they cannot be read, or are changing."""

    path: Path

    def __call__(self) -> bytes:
        """See Candidate."""
        try:
            with self.path.open("rb") as file:
                before = os.fstat(file.fileno())
                if before.st_size > MAX_BYTES:
                    raise Unreadable(too_large(before.st_size))
                data = file.read(before.st_size + 1)
                after = os.fstat(file.fileno())
        except OSError as error:
            raise Unreadable(_reason(error)) from error
        if len(data) != before.st_size or (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
            raise Unreadable("changed while it was read; ingest again when it is complete")
        return data


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
