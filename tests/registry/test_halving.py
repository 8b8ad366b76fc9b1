"""Rungs of successive halving, and the numbers of trials."""

from hypothesis import given
from hypothesis import strategies as st

from registry.halving import ETA, number_of, place, rung_epochs


@given(st.integers(1, 200), st.integers(0, 400))
def test_rungs_have_rising_epochs_and_the_last_has_all_of_them(trials: int, epochs: int) -> None:
    found = rung_epochs(trials, epochs)
    assert list(found) == sorted(set(found))
    assert (found[-1:] == (epochs,)) == bool(epochs)
    assert trials >= ETA ** max(0, len(found) - 1)
    assert not found or found[0] >= 1


@given(st.integers(1, 200), st.integers(1, 1000))
def test_a_number_has_one_setting_and_rung(trials: int, number: int) -> None:
    setting, rung = place(number, trials)
    assert 1 <= setting <= trials
    assert rung >= 1
    assert number_of(setting, rung, trials) == number
