"""The numbered log: its end is found in few requests, whatever lies in it."""

from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.errors import ForeignObject, HistoryBroken
from registry.faulty_store import Fault, FaultyStore, only_at
from registry.log import Log
from registry.object_store import MemoryStore, PrunableStore


def make_log(store: PrunableStore, *, page: int = 1000) -> Log:
    return Log(store=store, prefix="log/", key=lambda number: f"log/{number:08d}.json", page=page)


def filled(numbers: set[int] | range) -> MemoryStore:
    store = MemoryStore()
    for number in numbers:
        store.create(f"log/{number:08d}.json", str(number).encode())
    return store


@given(length=st.integers(0, 3000), page=st.sampled_from([1, 2, 10, 1000]))
@settings(max_examples=40, deadline=None)
def test_the_last_entry_is_found_in_logarithmically_many_requests(length: int, page: int) -> None:
    counted = FaultyStore(filled(range(1, length + 1)), lambda _: None)
    assert make_log(counted, page=page).last() == length
    assert counted.calls <= 2 * log2(length / page + 1) + 3


@given(numbers=st.sets(st.integers(1, 200), min_size=1), page=st.sampled_from([1, 3, 1000]))
def test_a_hole_never_makes_an_older_entry_the_last(numbers: set[int], page: int) -> None:
    assert make_log(filled(numbers), page=page).last() == max(numbers)


def test_a_hole_breaks_the_history() -> None:
    with pytest.raises(HistoryBroken, match="entry 2"):
        make_log(filled({1, 3})).read_all()


@pytest.mark.parametrize("key", ["log/notes.txt", "log/1.json", "log/00000000.json", "log/00000001.json/x", "log/zzz"])
def test_a_foreign_object_is_named(key: str) -> None:
    store = filled(range(1, 3))
    store.create(key, b"")
    with pytest.raises(ForeignObject, match=key):
        make_log(store).last()
    with pytest.raises(ForeignObject, match=key):
        make_log(store).read_all()


def test_an_append_tells_what_stands_there(store: PrunableStore) -> None:
    log = make_log(store)
    assert log.append(1, b"ours") == b"ours"
    assert log.append(1, b"another's") == b"ours"
    assert log.read(1) == b"ours"


def test_a_lost_answer_is_recognised_as_our_own(store: PrunableStore) -> None:
    assert make_log(FaultyStore(store, only_at(0, Fault.DROP_AFTER))).append(1, b"ours") == b"ours"
