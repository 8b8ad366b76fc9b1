"""Exact tests agree with the literature and with counting by hand."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.intervals import difference_interval
from training.evaluation.figures.significance import fisher, holm, mcnemar

few = st.integers(0, 40)


@given(few, few)
def test_mcnemar_does_not_mind_which_model_comes_first(one: int, other: int):
    assert mcnemar(one, other) == mcnemar(other, one)
    assert 0 < mcnemar(one, other) <= 1


@pytest.mark.parametrize(("one", "other", "p"), [(0, 0, 1), (5, 5, 1), (0, 5, 0.0625), (1, 9, 0.021484375)])
def test_mcnemar_is_the_binomial_test_of_a_fair_coin(one: int, other: int, p: float):
    assert mcnemar(one, other) == pytest.approx(p)


@given(st.integers(1, 7), st.integers(1, 7), st.data())
def test_fisher_counts_the_ways_in_which_chance_spreads_errors(here: int, elsewhere: int, data: st.DataObject):
    wrong, wrong_elsewhere = data.draw(st.integers(0, here)), data.draw(st.integers(0, elsewhere))
    errors, photos = wrong + wrong_elsewhere, here + elsewhere
    ways = [sum(place < errors for place in chosen) for chosen in itertools.combinations(range(photos), here)]
    expected = sum(way >= wrong for way in ways) / len(ways)
    assert fisher(wrong, here, wrong_elsewhere, elsewhere) == pytest.approx(expected)


def test_fisher_of_the_lady_tasting_tea():
    assert fisher(3, 4, 1, 4) == pytest.approx(17 / 70)


def test_many_photos_take_no_time():
    assert 0 < fisher(300, 20_000, 900, 80_000) < 1e-4


def test_holm_agrees_with_its_definition():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1))
def test_holm_never_makes_a_p_value_smaller_nor_changes_their_order(p_values: list[float]):
    adjusted = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, adjusted, strict=True))
    assert [x for _, x in sorted(zip(p_values, adjusted, strict=True))] == sorted(adjusted)
    assert min(adjusted) <= min(1, len(p_values) * min(p_values)) + 1e-12


def test_the_interval_of_a_difference_agrees_with_the_literature():
    # Newcombe, Statistics in Medicine 1998, table II, method 10
    assert difference_interval(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference_interval(9, 10, 3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)


@given(st.integers(1, 50), st.integers(1, 50), st.data())
def test_the_interval_of_a_difference_mirrors(of: int, other_of: int, data: st.DataObject):
    right, other = data.draw(st.integers(0, of)), data.draw(st.integers(0, other_of))
    low, high = difference_interval(right, of, other, other_of)
    assert low - 1e-12 <= right / of - other / other_of <= high + 1e-12
    mirrored = difference_interval(other, other_of, right, of)
    assert mirrored == pytest.approx((-high, -low))
    assert math.isfinite(low)
