"""Publishing and fetching: what is visible is whole, what is fetched is verified."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from registry.encoding import sha256_hex
from registry.errors import (
    DigestMismatch,
    FileChanged,
    FileCorrupted,
    FileMissing,
    FileNameRefused,
    HistoryBroken,
    NumberTaken,
    VersionMalformed,
    VersionMissing,
)
from registry.layout.model_store import blob_key, version_key
from registry.store.memory_store import MemoryStore
from registry.store.object_store import PrunableStore
from registry.store.transfer import SMALL_BYTES
from registry.version import Version
from registry.versions.catalog import Catalog
from tests.registry.faulty_store import FaultyStore


def publish(catalog: Catalog, files: Mapping[str, Path], *, run: str = "r-1") -> Version:
    return catalog.publish(files, labels=["cat", "dog"], metrics={"accuracy": 0.97}, lineage={"run": run})


@pytest.fixture
def catalog(store: PrunableStore) -> Catalog:
    return Catalog(store, "pets")


def test_a_published_version_is_there_with_all_its_files(
    catalog: Catalog, files: dict[str, Path], tmp_path: Path
) -> None:
    version = publish(catalog, files)
    assert version == catalog.version(1) == catalog.latest()
    fetched = catalog.fetch(version, tmp_path / "fetched")
    assert {name: path.read_bytes() for name, path in fetched.items()} == {n: p.read_bytes() for n, p in files.items()}
    assert sorted(p for p in (tmp_path / "fetched").rglob("*") if p.is_file()) == sorted(fetched.values())


def test_versions_are_numbered_without_a_hole(catalog: Catalog, files: dict[str, Path]) -> None:
    assert catalog.latest() is None
    assert [publish(catalog, files, run=f"r-{n}").number for n in range(1, 5)] == [1, 2, 3, 4]
    assert [version.number for version in catalog.versions()] == [1, 2, 3, 4]


def test_a_version_whose_files_name_its_number_gets_that_number_or_none(
    catalog: Catalog, files: dict[str, Path]
) -> None:
    def publish_as(number: int, run: str) -> Version:
        lineage = {"run": run}
        return catalog.publish(files, labels=["cat", "dog"], metrics={}, lineage=lineage, number=number)

    assert publish_as(1, "r-1").number == 1
    assert publish_as(1, "r-1").number == 1, "the same again"
    with pytest.raises(NumberTaken):
        publish_as(1, "r-2")
    with pytest.raises(NumberTaken):
        publish_as(3, "r-2")
    assert [publish_as(2, "r-2").number, len(catalog.numbers())] == [2, 2]


def test_publishing_the_same_again_returns_what_is_there(catalog: Catalog, files: dict[str, Path]) -> None:
    first = publish(catalog, files)
    publish(catalog, files, run="r-2")
    assert publish(catalog, files) == first
    assert len(catalog.versions()) == 2


def test_equal_files_are_stored_once(store: PrunableStore, files: dict[str, Path]) -> None:
    publish(Catalog(store, "pets"), files)
    counted = FaultyStore(store, lambda _: None)
    publish(Catalog(counted, "pets"), files, run="r-2")
    assert len(list(store.keys("pets/blobs/"))) == 3  # four names
    assert counted.calls == 3 + 1 + 1 + 1  # three looks, one listing, one look back, one write


def test_a_missing_version_is_named(catalog: Catalog) -> None:
    for number in (-1, 0, 1):
        with pytest.raises(VersionMissing):
            catalog.version(number)


def test_a_version_is_the_one_that_was_meant(catalog: Catalog, files: dict[str, Path]) -> None:
    version = publish(catalog, files)
    assert catalog.version(1, digest=version.digest) == version
    with pytest.raises(DigestMismatch):
        catalog.version(1, digest="sha256:" + "0" * 64)


def test_a_version_under_anothers_number_or_model_is_malformed(store: PrunableStore, files: dict[str, Path]) -> None:
    version = publish(Catalog(store, "pets"), files)
    store.create(version_key("pets", 2), version.to_bytes())
    store.create(version_key("birds", 1), version.to_bytes())
    with pytest.raises(VersionMalformed):
        Catalog(store, "pets").version(2)
    with pytest.raises(VersionMalformed):
        Catalog(store, "birds").version(1)


def test_a_hole_in_the_numbers_is_named(store: PrunableStore, files: dict[str, Path]) -> None:
    version = publish(Catalog(store, "pets"), files)
    store.create(version_key("pets", 3), replace(version, number=3).to_bytes())
    with pytest.raises(HistoryBroken):
        Catalog(store, "pets").versions()


@pytest.mark.parametrize("name", ["../escape", "/absolute", "back\\slash", ""])
def test_a_name_that_leaves_its_folder_is_refused(
    catalog: Catalog, store: PrunableStore, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(FileNameRefused):
        publish(catalog, {name: tmp_path / "file"})
    assert list(store.keys("")) == []


def test_a_file_that_is_not_there_is_named(catalog: Catalog, store: PrunableStore, files: dict[str, Path]) -> None:
    with pytest.raises(FileMissing):
        publish(catalog, {**files, "more": files["model.onnx"].parent / "gone"})
    assert list(store.keys("")) == []


@pytest.mark.parametrize("size", [1, SMALL_BYTES + 1, 2 * SMALL_BYTES + 1], ids=["small", "whole", "large"])
def test_a_file_that_goes_away_after_the_publish_began_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("registry.versions.upload.WHOLE_BYTES", 2 * SMALL_BYTES)
    path = tmp_path / "weights.pt"
    path.write_bytes(bytes(size))

    def looked_at(_name: str, path: Path) -> int:
        path.unlink()
        return size

    monkeypatch.setattr("registry.versions.upload._size", looked_at)
    with pytest.raises(FileMissing, match=r"weights\.pt"):
        publish(Catalog(MemoryStore(), "pets"), {"weights.pt": path})


def test_a_version_without_files_or_with_impossible_metrics_is_refused(
    catalog: Catalog, files: dict[str, Path]
) -> None:
    with pytest.raises(VersionMalformed):
        publish(catalog, {})
    with pytest.raises(VersionMalformed):
        catalog.publish(files, labels=[], metrics={"accuracy": float("nan")}, lineage={})


class Meddling(MemoryStore):
    """Somebody writes the file just before it is sent."""

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        path.write_bytes(path.read_bytes() + b"!")
        super().create_from(key, path, sha256=sha256)


def test_a_large_file_that_changes_while_it_is_sent_publishes_nothing(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.versions.upload.SMALL_BYTES", 2)
    monkeypatch.setattr("registry.versions.upload.WHOLE_BYTES", 4)  # what is larger is read twice
    store = Meddling()
    with pytest.raises(FileChanged):
        publish(Catalog(store, "pets"), files)
    assert Catalog(store, "pets").versions() == []
    blobs = list(store.keys("pets/blobs/"))
    assert all(key.endswith(sha256_hex(store.get(key))) for key in blobs)


def test_a_file_that_is_written_while_it_is_read_publishes_nothing(
    store: PrunableStore, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def read_while_written(path: Path) -> bytes:
        body = read(path)
        if path == files["model.onnx"]:
            with path.open("ab") as file:
                file.write(b"!")
        return body

    monkeypatch.setattr(Path, "read_bytes", read_while_written)
    with pytest.raises(FileChanged, match=r"model\.onnx"):
        publish(Catalog(store, "pets"), files)
    assert Catalog(store, "pets").versions() == []


@pytest.mark.parametrize(("small", "whole"), [(2**20, 2**26), (2, 2**26), (2, 4)], ids=["small", "whole", "large"])
def test_a_publish_stores_the_same_whichever_way_its_files_go(
    store: PrunableStore,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    small: int,
    whole: int,
) -> None:
    monkeypatch.setattr("registry.versions.upload.SMALL_BYTES", small)
    monkeypatch.setattr("registry.versions.upload.WHOLE_BYTES", whole)
    version = publish(Catalog(store, "pets"), files)
    assert [file.name for file in version.files] == sorted(files)
    fetched = Catalog(store, "pets").fetch(version, tmp_path / "fetched")
    assert all(fetched[name].read_bytes() == path.read_bytes() for name, path in files.items())
    assert publish(Catalog(store, "pets"), files, run="again").number == 2
    assert len(list(store.keys("pets/blobs/"))) == 3


def test_the_last_versions_can_be_had_without_the_others(store: PrunableStore, files: dict[str, Path]) -> None:
    catalog = Catalog(store, "pets")
    for number in range(5):
        publish(catalog, files, run=f"r-{number}")
    counted = FaultyStore(store, lambda _: None)
    assert [version.number for version in Catalog(counted, "pets").recent(2)] == [4, 5]
    assert counted.calls == 3
    assert [version.number for version in catalog.recent(99)] == [1, 2, 3, 4, 5]


def test_a_fetch_keeps_what_is_right_and_mends_what_is_not(
    store: PrunableStore, files: dict[str, Path], tmp_path: Path
) -> None:
    version = publish(Catalog(store, "pets"), files)
    paths = Catalog(store, "pets").fetch(version, tmp_path / "cache")
    counted = FaultyStore(store, lambda _: None)
    Catalog(counted, "pets").fetch(version, tmp_path / "cache")
    assert counted.calls == 0
    paths["model.onnx"].write_bytes(b"damaged")
    Catalog(counted, "pets").fetch(version, tmp_path / "cache")
    assert counted.calls == 1
    assert paths["model.onnx"].read_bytes() == b"graph"


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_corrupted_blob_is_never_handed_out(files: dict[str, Path], tmp_path: Path, damage: str) -> None:
    store, damaged = MemoryStore(), MemoryStore()
    version = publish(Catalog(store, "pets"), files)
    victim = blob_key("pets", sha256_hex(b"graph"))
    for key in store.keys(""):
        if key != victim:
            damaged.create(key, store.get(key))
    if damage == "changed":
        damaged.create(victim, b"grapH")
    with pytest.raises(FileCorrupted, match=r"model\.onnx"):
        Catalog(damaged, "pets").fetch(version, tmp_path / "fetched")
    assert not (tmp_path / "fetched" / "model.onnx").exists()
    assert not list((tmp_path / "fetched").glob(".part-*"))
    with pytest.raises(FileCorrupted):
        Catalog(damaged, "pets").verify(version)
    Catalog(store, "pets").verify(version)


def test_publishing_onto_a_blob_of_another_size_is_refused(files: dict[str, Path]) -> None:
    store = MemoryStore()
    store.create(blob_key("pets", sha256_hex(b"graph")), b"gr")
    with pytest.raises(FileCorrupted):
        publish(Catalog(store, "pets"), files)
    assert Catalog(store, "pets").versions() == []
