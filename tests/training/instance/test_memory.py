from pathlib import Path

import pytest

from training.instance.memory import free_memory, total_memory

GIB = 2**30


def machine(root: Path, *, total: int = 64, available: int = 32, groups: str = "") -> Path:
    """A file system of a machine with so many GiB."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: {total * 2**20} kB\nMemAvailable: {available * 2**20} kB\n")
    if groups:
        (root / "proc/self/cgroup").write_text(groups)
    return root


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(text)


def test_without_a_limit_it_is_the_machines(tmp_path: Path):
    root = machine(tmp_path, groups="0::/\n")
    group(root / "sys/fs/cgroup", max="max\n", current="1\n")
    assert (total_memory(root), free_memory(root)) == (64 * GIB, 32 * GIB)


def test_a_containers_limit_counts_and_so_does_that_of_a_group_above(tmp_path: Path):
    root = machine(tmp_path, groups="0::/park/job\n")
    group(root / "sys/fs/cgroup/park/job", max="max\n", current=f"{GIB}\n")
    stat = f"anon 5\ninactive_file {2 * GIB}\n"
    group(root / "sys/fs/cgroup/park", max=f"{8 * GIB}\n", current=f"{5 * GIB}\n", stat=stat)
    assert total_memory(root) == 8 * GIB
    assert free_memory(root) == 5 * GIB, "what the kernel can drop is not in use"


def test_the_older_control_groups_are_read_too(tmp_path: Path):
    root = machine(tmp_path, groups="5:cpu,memory:/job\n2:pids:/job\n")
    group(root / "sys/fs/cgroup/memory/job", limit_in_bytes=f"{4 * GIB}\n", usage_in_bytes=f"{4 * GIB + 1}\n")
    assert (total_memory(root), free_memory(root)) == (4 * GIB, 0)


def test_a_system_without_these_files_has_half_of_its_pages_free(tmp_path: Path):
    assert free_memory(tmp_path) == pytest.approx(total_memory(tmp_path) / 2, abs=1)


def test_this_machine_has_some():
    assert 0 < free_memory() <= total_memory()
