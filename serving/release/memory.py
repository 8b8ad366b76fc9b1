"""Returns the memory of dropped models to the system.

A model's blocks are freed between blocks that live on, and glibc keeps such pages for later, spread over the arenas of
all threads that ever loaded one, so an endpoint grew with every swap. Two things against it: large blocks get pages of
their own, which freeing returns; and after a swap the rest of what is free is returned, which takes some milliseconds,
in which threads that allocate may wait. `benchmarks/serving/soak.py` shows what becomes of it.
"""

import ctypes
import threading
from collections.abc import Callable

from serving.release.live import Live

_MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of <malloc.h>."""
_LARGE = 1024 * 1024
"""Bytes. Most weights are above it, and what a photo of usual size needs is below: fresh pages cost time."""


def keep_large_blocks_apart() -> bool:
    """Allocate large blocks on their own pages permanently; glibc by itself stops doing so once some were freed.

    False where the C library is another. To be called before models are loaded.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE))
    except (OSError, AttributeError):
        return False


def trim_allocator() -> bool:
    """Returns free pages to the system. False where the C library knows no such call, or had nothing to return."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # not glibc
        return False
    return bool(trim(0))


class Trimmer:
    """Trims one poll after the models in memory changed: by then requests that used the old model have ended."""

    def __init__(self, live: Live, *, trim: Callable[[], object] = trim_allocator) -> None:
        self._live = live
        self._trim = trim
        self._seen = self._in_memory()
        self._due = False

    def run(self, stop: threading.Event, *, poll_seconds: float) -> None:
        """Look until `stop` is set."""
        while not stop.wait(poll_seconds):
            self.step()

    def step(self) -> None:
        """Look once."""
        if self._due:
            self._trim()
        now = self._in_memory()
        self._due, self._seen = now != self._seen, now

    def _in_memory(self) -> tuple[int | None, int | None]:
        """Numbers, not models: this must not be what keeps one."""
        deployed, challenge = self._live.deployed, self._live.challenge
        return (
            deployed.move.number if deployed else None,
            challenge.experiment.number if challenge and challenge.model else None,
        )
