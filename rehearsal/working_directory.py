"""The one folder that a rehearsal writes to, and the lock that lets only one rehearsal use it."""

import contextlib
import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

ROOM_NEEDED = 2 * 1024**3
"""Bytes that a rehearsal with a few thousand photos writes at most: emulator state, model files, checkpoints."""


class RehearsalRunning(Exception):
    """Another rehearsal has locked the folder."""


class DiskFull(Exception):
    """The disk is too full to start."""


class WorkingDirectory:
    """`directory`, locked, emptied at the start; what is left at the end is the summary, the report and the logs.

    Entering raises `RehearsalRunning` when another process has the lock, `DiskFull` when the disk is nearly full.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = _acquire(self.directory / "lock")
        free = shutil.disk_usage(self.directory).free
        if free < ROOM_NEEDED:
            self.__exit__()
            raise DiskFull(
                f"{self.directory} has {free / 1024**3:.1f} GiB free; a rehearsal needs {ROOM_NEEDED / 1024**3:.0f}. "
                "Free some space, or rehearse elsewhere: petpark rehearse --directory DIR."
            )
        for entry in self.directory.iterdir():
            if entry.name != "lock":
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def folder(self, name: str) -> Path:
        """A folder of its own for one part of the rehearsal."""
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def tidy(self, *keep: str) -> None:
        """Remove everything but the entries named in `keep` (and the lock): what only served the run."""
        for entry in self.directory.iterdir():
            if entry.name not in {"lock", *keep}:
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)


def _acquire(path: Path) -> IO[str]:
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise RehearsalRunning(
            f"A rehearsal is already running here (process {holder}, folder {path.parent}). "
            "End it with `petpark rehearse down`, or wait for it."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def holder(directory: Path) -> int | None:
    """Process id of the rehearsal that has locked `directory`, or None."""
    path = directory / "lock"
    if not path.exists():
        return None
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            text = lock.read().strip()
            return int(text) if text.isdigit() else None
    return None


def end(directory: Path, *, timeout: float = 30.0, sleep: Callable[[float], None] = time.sleep) -> int | None:
    """Stop the rehearsal in `directory`, wait for its end, and return its process id; None when none runs.

    It gets SIGTERM, and SIGKILL when it has not ended after `timeout` seconds (its children die with it).
    """
    pid = holder(directory)
    if pid is None:
        return None
    deadline = time.monotonic() + timeout
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    while holder(directory) == pid or _alive(pid):
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            deadline = float("inf")
        sleep(0.1)
    return pid


def _alive(pid: int) -> bool:
    """Whether the process is there and has not ended yet; one that only waits to be reaped has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
