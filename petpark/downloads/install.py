"""Installs an archive as a folder: one process at a time, and the folder appears complete or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

from petpark.downloads.errors import ArchiveMissing, ArchiveRefused, FolderNotWritable, NoSpace, PublisherUnreachable
from petpark.downloads.fetch import Timeouts, fetch, sync_folder, unwritable
from petpark.downloads.pins import Archive
from petpark.downloads.progress import Report, megabytes
from petpark.downloads.unpack import unpack

_SLACK = 2
"""How many times its stated size an archive may have: sizes are rough, and the hash decides."""

_SPARE = 200_000_000
"""Bytes that stay free on the disk."""

type Free = Callable[[Path], int]
"""Bytes that are free on the disk of a folder."""


def free_space(folder: Path) -> int:
    """Bytes that this user may still write on the disk of `folder`."""
    return shutil.disk_usage(folder).free


def download(
    archive: Archive,
    tools: Path,
    *,
    report: Report,
    timeouts: Timeouts | None = None,
    free: Free = free_space,
) -> tuple[Path, str]:
    """The verified file of `archive` in `tools/downloads`, and its SHA-256. Call it with `locked`.

    A file that was put there by hand is used if its hash is right. Raises what `fetch` does, and `NoSpace` before
    anything is fetched.
    """
    folder = downloads(tools)
    file = folder / archive.name
    there = sum(path.stat().st_size for path in (file, file.with_name(f"{file.name}.part")) if path.exists())
    needed = max(0, archive.packed - there) + archive.unpacked + _SPARE
    if (space := free(folder)) < needed:
        raise NoSpace(
            f"{archive.name} needs {megabytes(needed)} to download and unpack; {megabytes(space)} are free on the "
            f"disk of {folder}.",
            next_step="Free some space there, then run it again.",
        )
    for number, url in enumerate(archive.urls, start=1):
        try:
            digest = fetch(
                url,
                file,
                accepted=archive.sha256,
                limit=archive.packed * _SLACK,
                report=report,
                timeouts=timeouts,
            )
        except (PublisherUnreachable, ArchiveMissing):
            if number == len(archive.urls):
                raise
        else:
            return file, digest
    raise ArchiveMissing(f"No address is known for {archive.name}.", next_step="Configure a mirror that has it.")


def place(archive: Path, destination: Path, *, unpacked: int, arrange: Callable[[Path], Path]) -> None:
    """Make `destination` the folder that `arrange` makes of the unpacked `archive`; raises what `unpack` does.

    `arrange` gets the folder with what was in the archive, checks it (and raises), and returns the folder to keep. The
    archive is deleted when it is placed or refused; it stays where only the disk was full.
    """
    fresh = archive.with_name(f"{archive.name}.unpacked")
    old = archive.with_name(f"{archive.name}.replaced")
    try:
        for leftover in (fresh, old):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        unpack(archive, fresh, limit=unpacked * _SLACK)
        kept = arrange(fresh)
        _sync(kept)
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.exists():
            destination.replace(old)
        kept.replace(destination)
        sync_folder(destination.parent)
        archive.unlink()
    except ArchiveRefused:
        archive.unlink()
        raise
    except OSError as error:
        raise unwritable(f"{archive.name} could not be unpacked", error, archive.parent) from error
    finally:
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def locked(name: str, tools: Path, *, waiting: Callable[[], None]) -> Generator[None]:
    """Hold a lock while `name` is downloaded; `waiting` is called once if another process holds it.

    The kernel releases the lock when a process ends, however it ends. Raises `FolderNotWritable`.
    """
    try:
        folder = downloads(tools)
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise FolderNotWritable(
            f"{tools} cannot be written: {error.strerror}.", next_step="Run it as the owner of this checkout."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def downloads(tools: Path) -> Path:
    """The folder of archives and their parts."""
    return tools / "downloads"


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
