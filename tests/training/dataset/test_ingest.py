"""From a folder to a dataset: what is taken, what is skipped and why, what is never sent twice."""

import sys
from functools import partial
from pathlib import Path

import pytest

from imaging.measuring import Measurer
from registry.layout.data_lake import PHOTOS, manifest_key, photo_key
from registry.store.memory_store import MemoryStore
from tests.training.photos import jpeg, write_photos
from training.dataset.ingest import Ingestion, ingest
from training.dataset.manifest import load_manifest
from training.errors import DatasetRefused


class CountingStore(MemoryStore):
    """Counts how often photos are sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def create(self, key: str, body: bytes) -> None:
        self.sent.append(key)
        super().create(key, body)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", per_class=40)


def reasons(ingestion: Ingestion) -> dict[str, str]:
    return dict(ingestion.skipped)


def test_every_photo_lies_in_the_data_lake_by_its_hash(folder: Path):
    store = MemoryStore()
    ingestion = ingest(folder, store, seed=1)
    assert len(ingestion.manifest.photos) == ingestion.added == 80
    assert ingestion.manifest.labels == ("cat", "dog")
    for photo in ingestion.manifest.photos:
        assert store.get(photo_key(photo.sha256)) == (folder / photo.key).read_bytes()
    assert load_manifest(store, ingestion.sha256) == ingestion.manifest


def test_the_same_folder_gives_the_same_dataset_and_sends_nothing_again(folder: Path):
    store = CountingStore()
    first = ingest(folder, store, seed=1)
    store.sent.clear()
    second = ingest(folder, store, seed=1)
    assert second.sha256 == first.sha256
    assert second.added == 0
    assert store.sent == [manifest_key(first.sha256)]


def test_a_new_photo_is_the_only_one_sent_and_moves_no_other(folder: Path):
    store = CountingStore()
    first = ingest(folder, store, seed=1)
    store.sent.clear()
    (folder / "cat" / "new.jpg").write_bytes(jpeg(77_777))
    second = ingest(folder, store, seed=1)
    assert [key for key in store.sent if key.startswith(PHOTOS)] == [
        photo_key(photo.sha256) for photo in second.manifest.photos if photo.key == "cat/new.jpg"
    ]
    assert set(first.manifest.photos) < set(second.manifest.photos)


def test_unreadable_photos_are_named_and_skipped(folder: Path):
    (folder / "cat" / "notes.txt").write_text("three cats today")
    (folder / "dog" / "cut.jpg").write_bytes(jpeg(5, side=96)[:-1500])
    (folder / "dog" / "empty.jpg").write_bytes(b"")
    (folder / "stray.jpg").write_bytes(jpeg(6))
    (folder / "README.md").write_text("not ours to judge")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.jpg").write_bytes(jpeg(7))
    ingestion = ingest(folder, MemoryStore(), seed=1)
    assert len(ingestion.manifest.photos) == 80
    assert reasons(ingestion).keys() == {"cat/notes.txt", "dog/cut.jpg", "dog/empty.jpg", "stray.jpg"}
    assert "not a JPEG" in reasons(ingestion)["cat/notes.txt"]
    assert "truncated" in reasons(ingestion)["dog/cut.jpg"]
    assert "empty" in reasons(ingestion)["dog/empty.jpg"]
    assert "class folder" in reasons(ingestion)["stray.jpg"]


def test_of_equal_photos_the_first_is_kept(folder: Path):
    (folder / "cat" / "copy.jpg").write_bytes((folder / "cat" / "0003.jpg").read_bytes())
    ingestion = ingest(folder, MemoryStore(), seed=1)
    assert reasons(ingestion) == {"cat/copy.jpg": "same bytes as cat/0003.jpg"}


def test_equal_photos_with_contradicting_labels_are_both_left_out(folder: Path):
    (folder / "dog" / "copy.jpg").write_bytes((folder / "cat" / "0003.jpg").read_bytes())
    ingestion = ingest(folder, MemoryStore(), seed=1)
    assert reasons(ingestion).keys() == {"cat/0003.jpg", "dog/copy.jpg"}
    assert "contradict" in reasons(ingestion)["dog/copy.jpg"]


def test_photos_deep_in_a_class_folder_and_with_strange_names_are_found(folder: Path):
    (folder / "cat" / "north gate" / "été\n🐈").mkdir(parents=True)
    (folder / "cat" / "north gate" / "été\n🐈" / "1.JPEG").write_bytes(jpeg(4321))
    keys = {photo.key for photo in ingest(folder, MemoryStore(), seed=1).manifest.photos}
    assert "cat/north gate/été\n🐈/1.JPEG" in keys


def test_progress_counts_every_file(folder: Path):
    seen: list[tuple[int, int]] = []
    ingest(folder, MemoryStore(), seed=1, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(number, 80) for number in range(1, 81)]


def test_quality_counts_by_class_and_split(folder: Path):
    quality = ingest(folder, MemoryStore(), seed=1).quality
    assert quality.photos == 80
    assert {label: sum(splits.values()) for label, splits in quality.counts.items()} == {"cat": 40, "dog": 40}
    assert quality.brightness.low < quality.brightness.median < quality.brightness.high


@pytest.mark.parametrize(
    ("classes", "per_class", "said"),
    [
        ((), 0, "no photos found"),
        (("cat",), 30, "only one class, 'cat'; add a second subfolder"),
        (("cat", "dog"), 5, "class 'cat' has 5 usable photos, at least 6"),
        (("Cat", "cat", "dog"), 30, "differ only by case"),
    ],
)
def test_what_cannot_become_a_model_is_refused_with_advice(tmp_path: Path, classes, per_class: int, said: str):
    write_photos(tmp_path, per_class=per_class, classes=classes)
    store = MemoryStore()
    with pytest.raises(DatasetRefused, match=said):
        ingest(tmp_path, store, seed=1)
    assert not list(store.keys("datasets/"))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(DatasetRefused, match="is not a folder"):
        ingest(tmp_path / "nowhere", MemoryStore(), seed=1)


def test_a_refusal_names_the_photos_that_were_skipped(tmp_path: Path):
    write_photos(tmp_path, per_class=0)
    (tmp_path / "cat" / "bad.jpg").write_bytes(b"bad")
    with pytest.raises(DatasetRefused, match=r"cat/bad\.jpg: not a JPEG"):
        ingest(tmp_path, MemoryStore(), seed=1)


def test_photos_measured_by_processes_make_the_same_dataset_and_without_any_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write_photos(tmp_path, per_class=40)
    here = ingest(photos, MemoryStore(), seed=1)
    monkeypatch.setattr(sys.modules[Ingestion.__module__], "Measurer", partial(Measurer, processes=2, here=0))
    assert ingest(photos, MemoryStore(), seed=1).sha256 == here.sha256
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DatasetRefused, match="more processes; then ingest the photos again"):
        ingest(photos, MemoryStore(), seed=1)
