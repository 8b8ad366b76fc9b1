"""An ingestion that was cut off is repeated and sends what is missing; one upon an earlier dataset goes on from it."""

import functools
import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.errors import ObjectExists, StoreUnavailable
from registry.layout.data_lake import DATASETS, PHOTOS, manifest_key
from registry.store.memory_store import MemoryStore
from tests.examples import examples
from tests.registry.faulty_store import Crashed, Fault, FaultyStore, at_random, only_at
from tests.training.photos import jpeg, write_photos
from training.dataset.ingest import Base, ingest, ingest_from
from training.dataset.sources import Candidate, FolderSource, SkippedFile

ingest_module = importlib.import_module("training.dataset.ingest")  # the package has a function of that name
PER_CLASS = 24


class StrictStore(MemoryStore):
    """No photo may ever be sent to it a second time."""

    def create(self, key: str, body: bytes) -> None:
        try:
            super().create(key, body)
        except ObjectExists:
            assert not key.startswith(PHOTOS), f"{key} was sent again"
            raise


@functools.cache
def photo(number: int) -> bytes:
    return jpeg(number, bright=number >= 1000)


class Photos:
    """A source in memory: photos by number, 1000 and up in the second class."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers

    def count(self) -> int | None:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Candidate | SkippedFile]:
        for number in self.numbers:
            key = f"{'dog' if number >= 1000 else 'cat'}/{number}.jpg"
            yield Candidate(key=key, read=functools.partial(photo, number))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), per_class=PER_CLASS)


@pytest.fixture(scope="module")
def expected(folder: Path) -> str:
    return ingest(folder, MemoryStore(), seed=2).sha256


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that call number n is always the same call."""
    monkeypatch.setattr(ingest_module, "WORKERS", 1)


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("call", [0, 1, 2, 7, 30, 2 * PER_CLASS, 2 * PER_CLASS + 1])
def test_a_crash_at_any_call_leaves_no_half_dataset_and_nothing_is_sent_twice(
    folder: Path, expected: str, call: int, fault: Fault
):
    store = StrictStore()
    with pytest.raises(Crashed):
        ingest(folder, FaultyStore(store, only_at(call, fault)), seed=2)
    assert list(store.keys(DATASETS)) in ([], [manifest_key(expected)])
    sent = len(list(store.keys(PHOTOS)))
    again = ingest(folder, store, seed=2)
    assert again.sha256 == expected
    assert again.added == 2 * PER_CLASS - sent


@settings(max_examples=examples(10))
@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.1, 0.3]))
def test_repeated_until_it_succeeds_it_ends_with_the_same_dataset(seed: int, rate: float):
    with tempfile.TemporaryDirectory() as name:
        folder = write_photos(Path(name), per_class=20)
        store = MemoryStore()
        for attempt in range(400):
            try:
                found = ingest(folder, FaultyStore(store, at_random(seed * 1000 + attempt, rate)), seed=2)
            except StoreUnavailable:
                continue
            break
        else:
            pytest.fail("never succeeded")
        assert len(found.manifest.photos) == len(list(store.keys(PHOTOS))) == 40
        assert list(store.keys(DATASETS)) == [manifest_key(found.sha256)]


def test_a_lost_answer_costs_a_question_and_not_the_ingestion(folder: Path, expected: str):
    store = StrictStore()
    assert ingest(folder, FaultyStore(store, only_at(5, Fault.DROP_AFTER)), seed=2).sha256 == expected


def test_a_lake_that_is_full_ends_it_by_name_and_keeps_what_was_sent(folder: Path, expected: str):
    store = MemoryStore()
    full = FaultyStore(store, lambda call: Fault.UNAVAILABLE if call > 20 else None)
    with pytest.raises(StoreUnavailable):
        ingest(folder, full, seed=2)
    assert len(list(store.keys(PHOTOS))) == 20
    assert ingest(folder, store, seed=2).sha256 == expected


@pytest.mark.slow  # starts a process
def test_photos_in_memory_are_bounded_however_many_there_are(monkeypatch: pytest.MonkeyPatch):
    given, taken = [0], [0]

    class Counting(Photos):
        def __iter__(self):
            for each in super().__iter__():
                given[0] += 1
                assert given[0] - taken[0] <= ingest_module._AHEAD + 2
                yield each

    numbers = [*range(150), *range(1000, 1150)]
    ingest_from(
        Counting(numbers), MemoryStore(), seed=1, progress=lambda _done, _of: taken.__setitem__(0, taken[0] + 1)
    )
    assert taken == [300]


some = st.sets(st.integers(0, 60) | st.integers(1000, 1060), max_size=30)
ENOUGH = set(range(22)) | set(range(1000, 1022))


@settings(max_examples=examples(15))
@given(some, some, st.integers(0, 5))
def test_upon_a_base_old_photos_stay_new_ones_come_and_only_they_are_sent(first: set[int], more: set[int], seed: int):
    store = StrictStore()
    before = ingest_from(Photos(sorted(ENOUGH | first | {30, 31, 1030, 1031})), store, seed=8)
    after = ingest_from(
        Photos(sorted(ENOUGH | first | more | {30, 31, 1030, 1031})),
        store,
        seed=8 + seed,
        base=Base(manifest=before.manifest),
    )
    assert set(before.manifest.photos) <= set(after.manifest.photos)
    assert after.added == len(after.manifest.photos) - len(before.manifest.photos) + len(after.skipped)


def test_what_the_base_knows_is_not_decoded_again(folder: Path, monkeypatch: pytest.MonkeyPatch):
    store = MemoryStore()
    before = ingest(folder, store, seed=2)
    decoded: list[int] = []
    measure = ingest_module.measure
    monkeypatch.setattr(ingest_module, "measure", lambda data: (decoded.append(1), measure(data))[1])
    after = ingest_from(FolderSource(folder), store, seed=2, base=Base(manifest=before.manifest))
    assert (after.sha256, decoded) == (before.sha256, [])


def test_a_source_that_breaks_ends_it_with_nothing_under_way():
    class Breaking(Photos):
        def __iter__(self):
            yield from super().__iter__()
            raise Crashed("the source")

    store = MemoryStore()
    with pytest.raises(Crashed):
        ingest_from(Breaking([1, 2, 3]), store, seed=1)
    assert not list(store.keys(DATASETS))


def test_what_a_source_passes_over_is_counted():
    class Passing(Photos):
        def __iter__(self):
            yield SkippedFile(key="cat/odd", reason="not a regular file")
            yield from super().__iter__()

    found = ingest_from(Passing([*range(25), *range(1000, 1025)]), MemoryStore(), seed=8)
    assert found.skipped == (("cat/odd", "not a regular file"),)
