"""What the lake has is learned by pages, as far as somebody asks; what earlier datasets say of photos is believed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging import measuring
from registry.encoding import sha256_hex
from registry.layout.data_lake import manifest_key, photo_key
from registry.store.memory_store import MemoryStore
from tests.training.photos import jpeg, write_photos
from training.dataset import stored_photos
from training.dataset.index import Index, Row
from training.dataset.ingest import ingest, ingest_from
from training.dataset.sources import FolderSource
from training.dataset.splits.split import SplitBy
from training.dataset.stored_photos import EarlierPhotos, StoredPhotos


class PagedStore(MemoryStore):
    """Counts the keys that were listed."""

    def __init__(self) -> None:
        super().__init__()
        self.listings = 0
        self.listed = 0

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        self.listings += 1
        for key in super().keys(prefix, after=after):
            self.listed += 1
            yield key


def hash_of(number: int) -> str:
    return sha256_hex(str(number).encode())


@given(st.sets(st.integers(0, 400)), st.lists(st.integers(0, 400), max_size=60), st.integers(1, 7))
def test_every_question_is_answered_as_a_whole_listing_would_and_no_page_is_read_in_vain(
    there: set[int], questions: list[int], page: int
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_photos, "_PAGE", page)
        store = PagedStore()
        for number in there:
            store.create(photo_key(hash_of(number)), b"")
        store.create(photo_key("5-notes.txt"), b"")
        photos = StoredPhotos(store)
        assert [photos.has(hash_of(number)) for number in questions] == [number in there for number in questions]
        assert store.listings <= 1 + 2 * len(set(questions))
        assert store.listed <= page * store.listings
        before = store.listings
        assert [photos.has(hash_of(number)) for number in questions] == [number in there for number in questions]
        assert store.listings == before


def test_many_questions_cost_hardly_more_than_a_whole_listing():
    store = PagedStore()
    for number in range(20_000):
        store.create(photo_key(hash_of(number)), b"")
    photos = StoredPhotos(store)
    assert all(photos.has(hash_of(number)) for number in range(5_000))
    assert store.listings <= 30  # a whole listing has 20 pages
    few = StoredPhotos(store)
    store.listings = store.listed = 0
    assert not few.has(hash_of(30_000))
    assert (store.listings, store.listed) == (2, 2000)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was decoded."""
    found: list[bytes] = []
    measure = measuring.measure
    monkeypatch.setattr(measuring, "measure", lambda data: (found.append(data), measure(data))[1])
    return found


def test_what_an_earlier_dataset_describes_is_not_decoded_again_and_described_alike(
    tmp_path: Path, decoded: list[bytes]
):
    folder, store = write_photos(tmp_path, per_class=24), MemoryStore()
    first = ingest(folder, store, seed=1)
    decoded.clear()
    (folder / "cat" / "new.jpg").write_bytes(new := jpeg(99))
    rows = {photo.key: Row(label=photo.label, camera="gate", captured_at=None) for photo in first.manifest.photos}
    rows["cat/new.jpg"] = Row(label="cat", camera=None, captured_at="2026-03-01T21:04:05")
    index = Index(rows=rows, refused={})
    again = ingest_from(FolderSource(folder), store, seed=5, index=index, split_by=SplitBy.PHOTO)
    assert decoded == [new]
    assert (
        again.sha256
        == ingest_from(FolderSource(folder), MemoryStore(), seed=5, index=index, split_by=SplitBy.PHOTO).sha256
    )


def test_a_photo_that_is_no_longer_in_the_lake_is_sent_again(tmp_path: Path):
    folder, store = write_photos(tmp_path, per_class=24), MemoryStore()
    first = ingest(folder, store, seed=1)
    lost = photo_key(first.manifest.photos[3].sha256)
    store.delete(lost)
    assert ingest(folder, store, seed=1).added == 1
    assert store.get(lost)


def test_the_newest_dataset_counts_and_a_broken_one_is_passed_over(tmp_path: Path):
    store = MemoryStore()
    first = ingest(write_photos(tmp_path, per_class=24), store, seed=1)
    photo = first.manifest.photos[0]
    line = first.manifest.to_bytes()
    store.create(manifest_key("0" * 64), line)  # has another name than its bytes
    assert EarlierPhotos(store).get(photo.sha256) == photo
    assert EarlierPhotos(store).get("1" * 64) is None
