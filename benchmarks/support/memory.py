"""The most memory that a process had, as the kernel counted it. Linux.

`ru_maxrss` is of no use for that: it begins with what the process had that started this one.
https://man7.org/linux/man-pages/man5/proc.5.html
"""

import re
from pathlib import Path


def peak_bytes(process: int | str = "self") -> int:
    """The highest resident memory since the program began, or since `forget_peak`; 0 for a process that has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def forget_peak() -> None:
    """Count the highest memory of this process anew."""
    Path("/proc/self/clear_refs").write_text("5")
