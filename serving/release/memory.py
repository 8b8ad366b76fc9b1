"""Returns the memory of dropped models to the system.

A model's blocks are freed between blocks that stay in use, and glibc keeps such pages in the arenas of all threads that
ever loaded one, so an endpoint grew with every swap. Two measures: large blocks get their own pages, which are returned
when freed; and after a swap the rest of the free memory is returned. That takes some milliseconds, in which allocating
threads may wait. `benchmarks/serving/soak.py` measures the effect.
"""

import ctypes
import threading
from collections.abc import Callable

from serving.release.live import Live

_MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of <malloc.h>."""
_LARGE = 1024 * 1024
"""Bytes. Most weights are larger, and the buffers of a usual photo are smaller, because fresh pages cost time."""

_TRIM_THRESHOLD = -1
"""`M_TRIM_THRESHOLD` of <malloc.h>."""
_KEPT = 8 * 1024 * 1024
"""Free bytes that a heap keeps for the next photo. With glibc's fixed 128 KiB, each photo needs fresh pages."""


def keep_large_blocks_apart() -> bool:
    """Allocate large blocks on their own pages permanently; by default glibc stops doing so after some were freed.

    This also fixes how much free memory each heap keeps, which glibc otherwise adapts (mallopt(3)), so both are set.
    Returns False with another C library. Call it before models are loaded.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_MMAP_THRESHOLD, _LARGE)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
    except (OSError, AttributeError):
        return False


def trim_allocator() -> bool:
    """Release free pages to the system. Returns False if the C library has no such call, or nothing was released."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # not glibc
        return False
    return bool(trim(0))


class Trimmer:
    """Trims one poll after the models in memory changed, when requests with the old model have ended."""

    def __init__(self, live: Live, *, trim: Callable[[], object] = trim_allocator) -> None:
        self._live = live
        self._trim = trim
        self._seen = self._in_memory()
        self._due = False

    def run(self, stop: threading.Event, *, poll_seconds: float) -> None:
        """Check until `stop` is set."""
        while not stop.wait(poll_seconds):
            self.step()

    def step(self) -> None:
        """Look once."""
        if self._due:
            self._trim()
        now = self._in_memory()
        self._due, self._seen = now != self._seen, now

    def _in_memory(self) -> tuple[int | None, int | None]:
        """Version numbers, not models, because a reference would keep a model in memory."""
        deployed, challenge = self._live.deployed, self._live.challenge
        return (
            deployed.move.number if deployed else None,
            challenge.experiment.number if challenge and challenge.model else None,
        )
