"""The most memory that a process had, as the kernel counted it. Linux.

`ru_maxrss` cannot be used: it starts with the memory of the parent process.
https://man7.org/linux/man-pages/man5/proc.5.html
"""

import re
import resource
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_EVERY_SECONDS: Final = 0.1
"""Between two looks at the processes that this one started."""


def peak_bytes(process: int | str = "self") -> int:
    """The highest resident memory since the program began, or since `forget_peak`; 0 for a process that has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def forget_peak() -> None:
    """Reset the peak memory of this process."""
    Path("/proc/self/clear_refs").write_text("5")


@contextmanager
def children_peaks() -> Generator[dict[int, int]]:
    """The highest memory of each process that this one starts in the block, by its number; pages that they share count
    in each. https://man7.org/linux/man-pages/man5/proc_tid_children.5.html
    """
    peaks: dict[int, int] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_EVERY_SECONDS):
            lists = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
            for process in (int(number) for each in lists for number in each.split()):
                peaks[process] = max(peaks.get(process, 0), peak_bytes(process))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        watcher.join()


def processor_seconds() -> float:
    """Of this process, and of those that it started and that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
