"""Small files of a version are on their way side by side, however far the store is; large ones a few at a time."""

import threading
from pathlib import Path
from typing import override

import pytest

from registry.store.memory_store import MemoryStore
from registry.store.transfer import PARTS_AT_ONCE, REQUESTS_AT_ONCE, SMALL_BYTES, by_size
from registry.versions.catalog import Catalog

PATIENCE = 10.0
"""Seconds until a test that would wait forever fails."""


class Far(MemoryStore):
    """A store that answers requests for blobs only when as many are there as may be at once."""

    def __init__(self) -> None:
        super().__init__()
        self.all_there = threading.Barrier(REQUESTS_AT_ONCE, timeout=PATIENCE)

    @override
    def create(self, key: str, body: bytes) -> None:
        if "/blobs/" in key:
            self.all_there.wait()
        super().create(key, body)

    @override
    def download(self, key: str, path: Path, *, size: int | None = None) -> str:
        self.all_there.wait()
        return super().download(key, path, size=size)


def test_small_files_are_sent_and_fetched_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    files = {f"{number:02d}": tmp_path / "sent" / f"{number:02d}" for number in range(REQUESTS_AT_ONCE)}
    for name, path in files.items():
        path.write_text(name)
    catalog = Catalog(Far(), "pets")
    version = catalog.publish(files, labels=["cat"], metrics={}, lineage={})
    fetched = catalog.fetch(version, tmp_path / "fetched")
    assert {name: path.read_text() for name, path in fetched.items()} == {name: name for name in files}


def test_large_files_are_received_a_few_at_a_time() -> None:
    most, there, lock = 0, 0, threading.Lock()
    several = threading.Barrier(PARTS_AT_ONCE, timeout=PATIENCE)

    def receive(_: int) -> None:
        nonlocal most, there
        with lock:
            there += 1
            most = max(most, there)
        several.wait()
        with lock:
            there -= 1

    by_size(receive, range(5 * PARTS_AT_ONCE), size=lambda _: SMALL_BYTES + 1)
    assert most == PARTS_AT_ONCE


def test_results_come_in_the_order_of_the_items_and_the_first_error_is_raised() -> None:
    assert by_size(str, range(100), size=lambda item: item * SMALL_BYTES // 50) == [str(item) for item in range(100)]
    with pytest.raises(ZeroDivisionError):
        by_size(lambda item: 1 // (item - 50), range(100), size=lambda _: 1)
