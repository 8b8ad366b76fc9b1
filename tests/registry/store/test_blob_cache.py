"""The cache of verified files: saves a download, and is never trusted."""

import os
from pathlib import Path

import pytest

from registry.encoding import sha256_hex
from registry.store.blob_cache import BlobCache
from registry.store.memory_store import MemoryStore
from registry.version import Version
from registry.versions.catalog import Catalog
from tests.registry.faulty_store import FaultyStore


def counting(store: MemoryStore) -> FaultyStore:
    return FaultyStore(store, lambda _: None)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def version(store: MemoryStore, files: dict[str, Path]) -> Version:
    return Catalog(store, "pets").publish(files, labels=["cat"], metrics={}, lineage={})


def test_a_second_fetch_asks_the_store_for_nothing(store: MemoryStore, version: Version, tmp_path: Path) -> None:
    for name, calls in (("first", 3), ("second", 0)):
        counted = counting(store)
        fetched = Catalog(counted, "pets", cache=BlobCache(tmp_path / "cache")).fetch(version, tmp_path / name)
        assert counted.calls in {calls, calls + 1}, "two names share their bytes, perhaps at the same moment"
        assert fetched["model.onnx"].read_bytes() == b"graph"


def test_a_file_that_rotted_in_the_cache_is_thrown_away_and_fetched_again(
    store: MemoryStore, version: Version, tmp_path: Path
) -> None:
    catalog = Catalog(store, "pets", cache=BlobCache(tmp_path / "cache"))
    catalog.fetch(version, tmp_path / "first")
    rotten = tmp_path / "cache" / "sha256" / sha256_hex(b"graph")
    rotten.write_bytes(b"grape")
    assert catalog.fetch(version, tmp_path / "second")["model.onnx"].read_bytes() == b"graph"
    assert rotten.read_bytes() == b"graph"


def test_a_fetched_file_that_somebody_edits_does_no_harm(store: MemoryStore, version: Version, tmp_path: Path) -> None:
    catalog = Catalog(store, "pets", cache=BlobCache(tmp_path / "cache"))
    catalog.fetch(version, tmp_path / "first")["model.onnx"].write_bytes(b"mine!")
    assert catalog.fetch(version, tmp_path / "second")["model.onnx"].read_bytes() == b"graph"


def test_the_cache_forgets_what_was_not_used_for_longest(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, limit_bytes=20)
    contents = [bytes([65 + n]) * 8 for n in range(3)]
    for age, content in zip((300, 100, 200), contents, strict=True):
        source = tmp_path / "source"
        source.write_bytes(content)
        cache.keep(sha256_hex(content), source)
        source.unlink()
        os.utime(tmp_path / "sha256" / sha256_hex(content), (1e9 - age, 1e9 - age))
    cache.evict()
    kept = [content for content in contents if (tmp_path / "sha256" / sha256_hex(content)).exists()]
    assert kept == contents[1:]
    cache = BlobCache(tmp_path, limit_bytes=0)
    cache.evict(spare=[sha256_hex(contents[2])])
    assert [path.name for path in (tmp_path / "sha256").iterdir()] == [sha256_hex(contents[2])]


def test_a_cache_that_cannot_be_written_is_no_cache_and_no_error(
    store: MemoryStore, version: Version, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    catalog = Catalog(store, "pets", cache=BlobCache(tmp_path / "cache"))
    assert catalog.fetch(version, tmp_path / "first")["model.onnx"].read_bytes() == b"graph"
