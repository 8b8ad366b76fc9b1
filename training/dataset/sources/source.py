"""What a source of photos offers to an ingestion."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

MAX_BYTES: Final = 64 * 1024 * 1024
"""A larger file is not a photo that a camera makes, and is not read: some dozens are in memory at a time."""


class Unreadable(Exception):
    """A file could not be read, or was still changing; the message says why, for a person."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A file that may be a photo; only its name was checked."""

    key: str
    """Its name below the source, parts separated by `/`."""
    read: Callable[[], bytes]
    """Its bytes; may be called in any thread, once; raises Unreadable."""


@dataclass(frozen=True, kw_only=True)
class SkippedFile:
    """A file that was skipped, and why."""

    key: str
    reason: str


class Source(Protocol):
    """Photos, by name, in an order that need not be the same next time."""

    def count(self) -> int | None:
        """How many things a pass will yield, for the progress; None if that would cost a pass."""
        ...

    def __iter__(self) -> Iterator[Candidate | SkippedFile]:
        """One pass, with a bounded number of photos in memory; raises DatasetRefused if the source cannot be read."""
        ...


def printable(name: str) -> str:
    """A name that can be stored and shown; bytes of a file's name that are no UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def bad_name(key: str) -> str | None:
    """Why a key cannot stand in a manifest; None if it can."""
    return None if key == printable(key) else "its name is no UTF-8; rename it"


def is_hidden(key: str) -> bool:
    """Whether a file is ignored because of its name or a folder's."""
    return any(part.startswith(".") for part in key.split("/"))


def too_large(size: int) -> str:
    """The sentence about a file that is not read."""
    return f"{size:,} bytes; the limit is {MAX_BYTES:,} bytes"
