"""Splits are a pure function of seed and group."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from training.dataset.manifest import Split
from training.dataset.splits.split import TEST_SHARE, VALIDATION_SHARE, split_of

groups = st.lists(st.text(min_size=1), unique=True, max_size=30)


@given(seed=st.integers(0, 2**32), group=st.text())
def test_a_group_is_always_in_the_same_split(seed: int, group: str):
    assert split_of(seed, group) is split_of(seed, group)


@given(seed=st.integers(0, 2**32), old=groups, new=groups)
def test_added_groups_never_move_an_old_one(seed: int, old: list[str], new: list[str]):
    before = {group: split_of(seed, group) for group in old}
    after = {group: split_of(seed, group) for group in [*new, *old]}
    assert before.items() <= after.items()


def test_the_shares_are_as_promised():
    counts = Counter(split_of(7, f"camera {number}") for number in range(20_000))
    assert abs(counts[Split.TEST] / 20_000 - TEST_SHARE) < 0.01
    assert abs(counts[Split.VALIDATION] / 20_000 - VALIDATION_SHARE) < 0.01


def test_another_seed_splits_otherwise():
    assert any(split_of(1, str(group)) is not split_of(2, str(group)) for group in range(50))


def test_a_split_is_the_same_on_every_machine_and_in_every_release():
    assert [split_of(1, group) for group in "abcdef"] == PINNED


PINNED = [Split.VALIDATION, Split.TRAIN, Split.TRAIN, Split.TEST, Split.TRAIN, Split.TRAIN]
