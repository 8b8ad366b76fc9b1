"""Small files of a version are on their way side by side, however far the store is; large ones a few at a time."""

import threading
from pathlib import Path
from typing import override

from registry.store.memory_store import MemoryStore
from registry.store.transfer import PARTS_AT_ONCE, REQUESTS_AT_ONCE, SMALL_BYTES, PendingRequest, side_by_side
from registry.versions.catalog import Catalog

TIMEOUT_SECONDS = 10.0
"""Seconds until a test that would wait forever fails."""


class Far(MemoryStore):
    """A store that answers requests for blobs only when as many are there as may be at once."""

    def __init__(self) -> None:
        super().__init__()
        self.all_there = threading.Barrier(REQUESTS_AT_ONCE, timeout=TIMEOUT_SECONDS)

    @override
    def create(self, key: str, body: bytes) -> None:
        if "/blobs/" in key:
            self.all_there.wait()
        super().create(key, body)

    @override
    def get(self, key: str) -> bytes:
        if "/blobs/" in key:
            self.all_there.wait()
        return super().get(key)


def test_small_files_are_sent_and_fetched_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    files = {f"{number:02d}": tmp_path / "sent" / f"{number:02d}" for number in range(REQUESTS_AT_ONCE)}
    for name, path in files.items():
        path.write_text(name)
    catalog = Catalog(Far(), "pets")
    version = catalog.publish(files, labels=["cat"], metrics={}, lineage={})
    fetched = catalog.fetch(version, tmp_path / "fetched")
    assert {name: path.read_text() for name, path in fetched.items()} == {name: name for name in files}


class Counting(MemoryStore):
    """A store that notes in which threads downloads run, and answers when as many are there as may be."""

    def __init__(self) -> None:
        super().__init__()
        self.several = threading.Barrier(PARTS_AT_ONCE, timeout=TIMEOUT_SECONDS)
        self.threads: set[int] = set()

    @override
    def download(self, key: str, path: Path, *, size: int | None = None) -> str:
        self.threads.add(threading.get_ident())
        self.several.wait()
        return super().download(key, path, size=size)


def test_large_files_are_received_a_few_at_a_time(tmp_path: Path) -> None:
    files = {f"{number}": tmp_path / f"{number}" for number in range(2 * PARTS_AT_ONCE)}
    for name, path in files.items():
        path.write_bytes(name.encode() * (SMALL_BYTES + 1))
    store = Counting()
    catalog = Catalog(store, "pets")
    catalog.fetch(catalog.publish(files, labels=["cat"], metrics={}, lineage={}), tmp_path / "fetched")
    assert len(store.threads) == PARTS_AT_ONCE


def test_concurrent_requests_are_bounded_and_cancelled_with_their_reader() -> None:
    begun: list[int] = []
    cancelled: list[int] = []

    def begin(number: int) -> PendingRequest[int]:
        begun.append(number)
        return PendingRequest(result=lambda: number, cancel=lambda: cancelled.append(number))

    requests = side_by_side(begin, range(10), at_once=3)
    assert [next(requests).result() for _ in range(4)] == [0, 1, 2, 3]
    assert begun == [0, 1, 2, 3, 4, 5], "three on their way besides the last that was taken"
    requests.close()
    assert cancelled == [4, 5]
    assert [each.result() for each in side_by_side(begin, range(10), at_once=3)] == list(range(10))
