"""How much memory there is for this process: the machine's, or less if its container has a limit.

Linux has both in files (proc_meminfo(5); https://docs.kernel.org/admin-guide/cgroup-v2.html#memory). Elsewhere only
the machine's size is known. Standard library only.
"""

import os
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/")


def total_memory(root: Path = _ROOT) -> int:
    """Bytes that this process may use in all. `root` stands for the file system's root."""
    machine = _machine(root, "MemTotal") or _pages()
    return min([machine, *(limit for limit, _ in _limits(root))])


def free_memory(root: Path = _ROOT) -> int:
    """Bytes that are available now without swapping; half of the machine's memory if that is not known."""
    machine = _machine(root, "MemAvailable")
    if machine is None:
        machine = _pages() // 2
    return max(0, min([machine, *(limit - used for limit, used in _limits(root))]))


def _machine(root: Path, field: str) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)


def _pages() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _limits(root: Path) -> list[tuple[int, int]]:
    """Limit and use of each control group that this process is in, without memory that the kernel can reclaim."""
    found: list[tuple[int, int]] = []
    for folder, limit_file, used_file, droppable in _groups(root):
        try:
            limit = (folder / limit_file).read_text().strip()
            if limit.isdigit():  # "max" where there is none
                used = int((folder / used_file).read_text()) - _droppable(folder, droppable)
                found.append((int(limit), used))
        except OSError:
            continue
    return found


def _groups(root: Path) -> list[tuple[Path, str, str, str]]:
    """The folders of this process's groups, in versions 2 and 1, up to the root that a container sees."""
    try:
        entries = [line.split(":", 2) for line in (root / "proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return []
    found: list[tuple[Path, str, str, str]] = []
    for _, controllers, path in entries:
        if controllers == "":
            base, limit, used, droppable = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            limit, used, droppable = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        own = base / path.lstrip("/")
        found += [(folder, limit, used, droppable) for folder in (own, *own.parents) if folder.is_relative_to(base)]
    return found


def _droppable(folder: Path, field: str) -> int:
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[0] == field), 0)
