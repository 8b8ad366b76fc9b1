"""What people decide about photos makes a new dataset, says who and why, and holds when photos are ingested again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from registry.layout.data_lake import DATASETS, changes_prefix
from registry.store.memory_store import MemoryStore
from tests.training.dataset.test_resumed_ingest import ENOUGH, Photos
from training.dataset.changes import Change, Ruling, decisions, exclude, history, record_ingestion, relabel
from training.dataset.ingest import Base, ingest_from
from training.dataset.manifest import Manifest, list_datasets, load_manifest
from training.errors import DatasetRefused, ManifestMalformed, NothingToChange, PhotoUnknown

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANA = "arn:aws:sts::1:assumed-role/publisher/ana"
MANY = sorted(ENOUGH | {22, 23, 1022, 1023})


class Lake:
    """A data lake with one dataset, and a clock that continues."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.first = ingest_from(Photos(MANY), self.store, seed=8).sha256
        self._hours = 0

    def now(self) -> datetime:
        self._hours += 1
        return NOW + timedelta(hours=self._hours)

    def relabel(self, dataset: str, key: str, label: str) -> Change:
        return relabel(self.store, dataset, keys=[key], label=label, by=ANA, why="a fox", now=self.now())

    def exclude(self, dataset: str, *keys: str) -> Change:
        return exclude(self.store, dataset, keys=keys, by=ANA, why="a dirty lens", now=self.now())

    def manifest(self, dataset: str) -> Manifest:
        return load_manifest(self.store, dataset)

    def again(self, dataset: str, numbers: list[int] = MANY):
        """Ingest upon a dataset, as the command does."""
        base = Base(manifest=self.manifest(dataset), decisions=decisions(history(self.store, dataset)))
        found = ingest_from(Photos(numbers), self.store, seed=8, base=base)
        record_ingestion(self.store, found.sha256, parent=dataset, by=ANA, why="more", now=self.now())
        return found


@pytest.fixture
def lake() -> Lake:
    return Lake()


def label_of(manifest: Manifest, key: str) -> str | None:
    return next((photo.label for photo in manifest.photos if photo.key == key), None)


def test_a_relabelled_photo_keeps_its_name_and_its_split(lake: Lake):
    change = lake.relabel(lake.first, "cat/3.jpg", "dog")
    before, after = lake.manifest(lake.first), lake.manifest(change.dataset)
    assert label_of(after, "cat/3.jpg") == "dog"
    assert [(p.key, p.sha256, p.split) for p in before.photos] == [(p.key, p.sha256, p.split) for p in after.photos]
    assert label_of(lake.manifest(lake.first), "cat/3.jpg") == "cat"


def test_an_excluded_photo_is_in_the_new_dataset_no_more_and_its_bytes_stay(lake: Lake):
    before = set(lake.store.keys("photos/"))
    change = lake.exclude(lake.first, "cat/3.jpg", "dog/1001.jpg")
    assert len(lake.manifest(change.dataset).photos) == len(MANY) - 2
    assert set(lake.store.keys("photos/")) == before


def test_who_why_and_when_are_recorded_beside_the_dataset(lake: Lake):
    change = lake.relabel(lake.first, "cat/3.jpg", "dog")
    (found,) = history(lake.store, change.dataset)
    assert found == change
    assert (found.ruling, found.parent, found.by, found.why) == (Ruling.RELABEL, lake.first, ANA, "a fox")
    assert [(photo.key, photo.label) for photo in found.photos] == [("cat/3.jpg", "cat")]
    assert found.becomes == "dog"
    assert set(list_datasets(lake.store)) == {lake.first, change.dataset}


def test_the_history_goes_back_through_every_change_and_ends_even_in_a_circle(lake: Lake):
    there = lake.relabel(lake.first, "cat/3.jpg", "dog")
    back = lake.relabel(there.dataset, "cat/3.jpg", "cat")
    assert back.dataset == lake.first
    assert history(lake.store, lake.first) == [back, there]
    assert history(lake.store, there.dataset) == [there, back]


def test_decisions_hold_when_the_same_photos_are_ingested_again(lake: Lake):
    dataset = lake.exclude(lake.relabel(lake.first, "cat/3.jpg", "dog").dataset, "cat/4.jpg").dataset
    found = lake.again(dataset)
    assert found.sha256 == dataset
    assert dict(found.skipped) == {"cat/4.jpg": f"excluded by {ANA}: a dirty lens"}


def test_decisions_hold_through_ingestions_in_between(lake: Lake):
    dataset = lake.exclude(lake.relabel(lake.first, "cat/3.jpg", "dog").dataset, "cat/4.jpg").dataset
    more = lake.again(dataset, [*MANY, 40, 41])
    again = lake.again(more.sha256, [*MANY, 40, 41, 42])
    assert label_of(again.manifest, "cat/3.jpg") == "dog"
    assert label_of(again.manifest, "cat/4.jpg") is None
    assert label_of(again.manifest, "cat/42.jpg") == "cat"


def test_a_photo_relabelled_twice_is_what_it_was_called_last(lake: Lake):
    once = lake.relabel(lake.first, "cat/3.jpg", "dog")
    twice = lake.relabel(once.dataset, "cat/3.jpg", "cat")
    assert label_of(lake.again(twice.dataset).manifest, "cat/3.jpg") == "cat"


def test_a_label_that_was_mended_at_the_source_is_not_overruled(lake: Lake):
    class Mended(Photos):
        def __iter__(self):
            for each in super().__iter__():
                yield replace(each, key=each.key.replace("cat/3.jpg", "bird/3.jpg"))

    dataset = lake.relabel(lake.first, "cat/3.jpg", "dog").dataset
    base = Base(manifest=lake.manifest(dataset), decisions=decisions(history(lake.store, dataset)))
    with pytest.raises(DatasetRefused, match="class 'bird' has 1 usable"):
        ingest_from(Mended(MANY), lake.store, seed=8, base=base)


def test_a_photo_that_is_not_there_is_named_with_one_that_is(lake: Lake):
    with pytest.raises(PhotoUnknown, match=r"1 of 2 .*'dog/3\.jpg'; there is cat/3\.jpg\. Nothing was changed"):
        lake.exclude(lake.first, "cat/4.jpg", "dog/3.jpg")
    assert list_datasets(lake.store) == [lake.first]


def test_a_change_that_changes_nothing_or_says_no_reason_is_refused(lake: Lake):
    with pytest.raises(NothingToChange, match="already are labelled 'cat'"):
        lake.relabel(lake.first, "cat/3.jpg", "cat")
    with pytest.raises(NothingToChange, match="has no name"):
        lake.relabel(lake.first, "cat/3.jpg", " ")
    with pytest.raises(NothingToChange, match="no photo was named"):
        lake.exclude(lake.first)
    with pytest.raises(NothingToChange, match="a reason is required"):
        exclude(lake.store, lake.first, keys=["cat/3.jpg"], by=ANA, why=" ", now=NOW)
    assert not list(lake.store.keys(changes_prefix(lake.first)))


def test_a_change_that_leaves_too_few_is_refused_and_leaves_no_trace(lake: Lake):
    before = list(lake.store.keys(DATASETS))
    with pytest.raises(DatasetRefused, match="class 'cat' has 4 usable"):
        lake.exclude(lake.first, *(f"cat/{number}.jpg" for number in range(20)))
    assert list(lake.store.keys(DATASETS)) == before


def test_a_record_is_read_strictly(lake: Lake):
    body = lake.relabel(lake.first, "cat/3.jpg", "dog").to_bytes()
    assert Change.from_bytes(body).to_bytes() == body
    for broken in (body[:-1], body.replace(b"relabel", b"rewrite"), body.replace(b'"why"', b'"wherefore"')):
        with pytest.raises(ManifestMalformed, match="change record"):
            Change.from_bytes(broken)
