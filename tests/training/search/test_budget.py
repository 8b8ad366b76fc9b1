"""What a study has spent, and what it may still spend."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from training.errors import SpecMalformed
from training.search.budget import Budget, Entry, spent


def entry(
    number: int, trial: int, born: float, *, most: int = 100, refused: bool = False, alive: bool = False
) -> Entry:
    return Entry(number=number, trial=trial, most=most, born=born, refused=refused, alive=alive)


def test_instance_time_ends_with_the_result_or_the_next_instance_or_counts_in_full() -> None:
    entries = [
        entry(1, 1, 0),
        entry(2, 2, 10),
        entry(3, 3, 20, refused=True),
        entry(4, 1, 50),  # trial 1 was interrupted before
        entry(5, 3, 60),
        entry(6, 3, 900),  # long after the instance before had ended
    ]
    assert spent(entries, {1: 80, 2: 30}, 910) == {1: 50, 2: 20, 3: 0, 4: 30, 5: 100, 6: 100}


def test_an_instance_that_outlives_its_time_counts_for_what_it_takes() -> None:
    assert spent([entry(1, 1, 0, alive=True)], {}, 250) == {1: 250}
    assert spent([entry(1, 1, 0)], {}, 250) == {1: 100}


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.integers(1, 3), st.floats(0, 500)), max_size=12), st.sets(st.integers(1, 3)))
def test_knowing_how_a_trial_ended_never_makes_the_others_dearer(
    launches: list[tuple[int, float]], known: set[int]
) -> None:
    born = 0.0
    entries: list[Entry] = []
    for number, (trial, pause) in enumerate(launches, start=1):
        born += pause
        entries.append(entry(number, trial, born))
    ends = dict.fromkeys(known, born + 50)
    before, after = spent(entries, {}, born), spent(entries, ends, born)
    assert before.keys() == after.keys()
    assert all(after[one.number] == before[one.number] for one in entries if one.trial not in known)


def test_a_budget_limits_hours_and_money() -> None:
    budget = Budget(max_hours=2, max_usd=3, usd_per_hour=2)
    assert budget.allows(1.5 * 3600)
    assert not budget.allows(1.5 * 3600 + 1), "the money is gone first"
    assert not Budget(max_hours=1).allows(3601)
    assert Budget().allows(10**9)
    assert (budget.usd(1800), Budget().usd(1800)) == (1.0, None)


@pytest.mark.parametrize("limits", [{"max_usd": 3.0}, {"max_hours": 0.0}, {"max_hours": float("nan")}])
def test_a_budget_that_means_nothing_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(SpecMalformed):
        Budget(**limits)
