"""Memory of dropped models goes back to the system, once what held them has ended."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from serving.release.live import Live
from serving.release.memory import Trimmer, trim_allocator


class Trims:
    def __init__(self) -> None:
        self.live = Live()
        self.count = 0
        self.trimmer = Trimmer(self.live, trim=self.add)

    def add(self) -> None:
        self.count += 1

    def after(self, polls: int) -> int:
        for _ in range(polls):
            self.trimmer.step()
        return self.count


@pytest.fixture
def trims() -> Trims:
    return Trims()


def deployed(entry: int) -> Any:
    return cast(Any, SimpleNamespace(move=SimpleNamespace(number=entry), model=object()))


def challenge(number: int, model: object | None) -> Any:
    return cast(Any, SimpleNamespace(experiment=SimpleNamespace(number=number), model=model))


def test_nothing_is_trimmed_while_nothing_changes(trims):
    assert trims.after(5) == 0


def test_a_swap_is_followed_by_one_trim_a_poll_later(trims):
    trims.live.deployed = deployed(1)
    assert trims.after(1) == 0
    assert trims.after(5) == 1
    trims.live.deployed = deployed(2)
    assert trims.after(5) == 2


def test_a_challenger_that_comes_goes_or_is_withdrawn_is_a_change(trims):
    states = [challenge(1, object()), challenge(1, None), challenge(2, object()), None]
    for count, trims.live.challenge in enumerate(states, start=1):
        assert trims.after(3) == count


def test_changes_poll_after_poll_are_trimmed_poll_after_poll(trims):
    for entry in range(5):
        trims.live.deployed = deployed(entry)
        trims.trimmer.step()
    assert trims.count == 4


def test_free_pages_between_used_ones_go_back_to_the_system():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    blocks = [libc.malloc(60_000) for _ in range(2_000)]  # below the size that gets pages of its own
    for block in blocks:
        ctypes.memset(block, 1, 60_000)
    for block in blocks[:-1]:  # the last holds the heap's end where it is
        libc.free(block)
    assert trim_allocator()
    libc.free(blocks[-1])


BLOCKS = """
import ctypes
from serving.release.memory import keep_large_blocks_apart

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
{call}
libc.free(libc.malloc(30_000_000))  # after this, glibc by itself takes what is smaller from the heap
blocks = [libc.malloc(2_000_000) for _ in range(50)]
for block in blocks:
    ctypes.memset(block, 1, 2_000_000)
last = libc.malloc(900_000)  # holds the heap's end where it is
for block in blocks:
    libc.free(block)
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


def test_large_blocks_are_gone_as_soon_as_they_are_freed():
    def kilobytes(call: str) -> int:
        command = [sys.executable, "-c", BLOCKS.format(call=call)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)

    assert kilobytes("assert keep_large_blocks_apart()") < kilobytes("") - 50_000


HEAP = """
import ctypes
from serving.release.memory import keep_large_blocks_apart

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
assert keep_large_blocks_apart()
blocks = [libc.malloc(900_000) for _ in range(6)]
end = libc.sbrk(0)
for block in blocks:
    libc.free(block)
print(end - libc.sbrk(0))
"""


def test_memory_that_a_photo_needs_stays_for_the_next_photo():
    done = subprocess.run([sys.executable, "-c", HEAP], check=True, capture_output=True, text=True, timeout=60)
    assert int(done.stdout) == 0
