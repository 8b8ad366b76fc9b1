"""The numbered log: what is there, whatever lies in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import HistoryBroken
from registry.logs.log import Log, unbroken
from registry.store.memory_store import MemoryStore
from registry.store.object_store import PrunableStore
from tests.registry.faulty_store import Fault, FaultyStore, only_at


def make_log(store: PrunableStore) -> Log:
    return Log(store=store, prefix="log/", key=lambda number: f"log/{number:08d}.json")


def filled(numbers: set[int] | range) -> MemoryStore:
    store = MemoryStore()
    for number in numbers:
        store.create(f"log/{number:08d}.json", str(number).encode())
    return store


@given(numbers=st.sets(st.one_of(st.integers(1, 20), st.integers(1, 99_999_999)), max_size=20))
def test_all_numbers_are_found_and_those_behind_a_hole_are_told_apart(numbers: set[int]) -> None:
    found = make_log(filled(numbers)).numbers()
    assert found == sorted(numbers)
    end = unbroken(found)
    assert set(range(1, end + 1)) <= numbers
    assert end + 1 not in numbers


def test_a_missing_entry_is_named() -> None:
    with pytest.raises(HistoryBroken, match="entry 2"):
        make_log(filled({1, 3})).read_each([1, 2, 3])


@pytest.mark.parametrize(
    "key",
    ["log/notes.txt", "log/1.json", "log/00000000.json", "log/00000001.json/x", "log/100000000.json", "log/zzz"],
)
def test_a_name_that_is_no_entrys_hides_none(key: str) -> None:
    store = filled(range(1, 3))
    store.create(key, b"")
    assert make_log(store).numbers() == [1, 2]


def test_an_append_tells_what_stands_there(store: PrunableStore) -> None:
    log = make_log(store)
    assert log.append(1, b"ours") == b"ours"
    assert log.append(1, b"another's") == b"ours"
    assert log.read(1) == b"ours"


def test_a_lost_answer_is_recognised_as_our_own(store: PrunableStore) -> None:
    assert make_log(FaultyStore(store, only_at(0, Fault.DROP_AFTER))).append(1, b"ours") == b"ours"
