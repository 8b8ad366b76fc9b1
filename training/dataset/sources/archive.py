"""Photos in a tar archive, compressed or not, on disk or in a bucket: read as a stream, never unpacked to disk."""

import lzma
import tarfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast, override

from registry.errors import ObjectMissing
from registry.store.object_store import ObjectStore
from training.dataset.sources.source import MAX_BYTES, Candidate, SkippedFile, bad_name, is_hidden, printable, too_large
from training.errors import DatasetRefused

SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_BROKEN: Final = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class ArchiveSource:
    """The files of an archive in its own order, by their names in it; hidden ones are left alone.

    Raises DatasetRefused for a file that is not an archive, or was cut off: then it is unknown what is missing.
    """

    path: Path

    def count(self) -> int | None:
        """See Source: an archive has no table of contents."""
        return None

    def __iter__(self) -> Iterator[Candidate | SkippedFile]:
        """See Source."""
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise DatasetRefused(
                f"{self.path} cannot be read: {error.strerror}; "
                "give a tar archive of one folder of photos for each class"
            ) from error
        with file:
            yield from _members(file, str(self.path))


@dataclass(frozen=True, kw_only=True)
class StoredArchiveSource:
    """The same for an archive in a bucket, of which some megabytes are in memory at a time."""

    store: ObjectStore
    key: str
    name: str
    """How people call it: its address."""

    def count(self) -> int | None:
        """See Source."""
        return None

    def __iter__(self) -> Iterator[Candidate | SkippedFile]:
        """See Source."""
        with closing(_Chunks(self.store.chunks(self.key))) as stream:
            try:
                yield from _members(cast("IO[bytes]", stream), self.name)
            except ObjectMissing as error:
                raise DatasetRefused(f"{self.name} cannot be read: no such object") from error


class _Chunks:
    """The part of a file's interface that tarfile uses: sequential reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Returns `size` bytes; fewer at the end only."""
        parts: list[memoryview] = []
        while size > 0:
            if not self._rest:
                self._rest = memoryview(next(self._chunks, b""))
            if not self._rest:
                break
            parts.append(self._rest[:size])
            self._rest = self._rest[size:]
            size -= len(parts[-1])
        return b"".join(parts)

    def close(self) -> None:
        """Stop requesting."""
        if isinstance(self._chunks, Generator):
            self._chunks.close()


def _members(stream: IO[bytes], name: str) -> Iterator[Candidate | SkippedFile]:
    seen = 0
    ended: list[bool] = []
    try:
        with tarfile.open(fileobj=stream, mode="r|*", tarinfo=_noticing_the_end(ended)) as archive:
            archive.stream = True  # or it would keep every entry in memory
            for member in archive:
                seen += 1
                yield from _offered(archive, member)
    except _BROKEN as error:
        raise DatasetRefused(_refusal(name, seen, error)) from error
    if not ended:
        raise DatasetRefused(_refusal(name, seen, EOFError("it has no end mark")))


def _offered(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[Candidate | SkippedFile]:
    parts = [part for part in member.name.split("/") if part not in {"", "."}]
    key = "/".join(parts)
    if member.isdir():
        return
    if ".." in parts:
        yield SkippedFile(key=printable(key), reason="its name leads out of the archive")
    elif is_hidden(key):
        return
    elif reason := bad_name(key):
        yield SkippedFile(key=printable(key), reason=reason)
    elif not member.isfile():
        yield SkippedFile(key=key, reason="a link or a device, not a regular file")
    elif member.size > MAX_BYTES:
        yield SkippedFile(key=key, reason=too_large(member.size))
    else:
        content = archive.extractfile(member)
        yield Candidate(key=key, read=_giving(content.read() if content else b""))


def _giving(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _refusal(name: str, seen: int, error: Exception) -> str:
    if not seen:
        return f"{name} is not a readable tar archive ({error}); create it with tar -cf"
    return f"{name} is broken or cut off after {seen:,} entries ({error}); copy it again, then ingest it again"


def _noticing_the_end(ended: list[bool]) -> type[tarfile.TarInfo]:
    """Entries of an archive, with a check for its end; tarfile itself takes a cut between two entries for the end."""

    class Entry(tarfile.TarInfo):
        @classmethod
        @override
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> tarfile.TarInfo:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                ended.append(True)
            return super().frombuf(buf, encoding, errors)

    return Entry
