"""P-values of two samples of numbers: exact or larger, the same whichever way round and in whatever order."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.columns import column_p_value, end_p_value, ks_p_value, ks_statistic, share_p_value, smallest

numbers = st.lists(st.integers(-5, 5) | st.floats(-5, 5), min_size=1, max_size=40).map(np.array)
small = st.integers(0, 12)


@given(numbers, numbers)
def test_ks_is_symmetric_and_a_share(one: np.ndarray, other: np.ndarray):
    assert ks_statistic(one, other) == pytest.approx(ks_statistic(other, one))
    assert 0 <= ks_statistic(one, other) <= 1
    assert ks_p_value(one, other) == pytest.approx(ks_p_value(other, one))


@given(numbers, numbers)
def test_ks_is_the_largest_difference_of_the_distribution_functions(one: np.ndarray, other: np.ndarray):
    worst = max(abs((one <= x).mean() - (other <= x).mean()) for x in np.concatenate([one, other]))
    assert ks_statistic(one, other) == pytest.approx(worst)


@given(numbers, numbers, st.randoms(use_true_random=False))
def test_the_order_of_photos_does_not_matter(one: np.ndarray, other: np.ndarray, random: object):
    rng = np.random.default_rng(random.randrange(2**32))  # pyright: ignore[reportAttributeAccessIssue]
    assert column_p_value(rng.permutation(one), rng.permutation(other)) == column_p_value(one, other)


@given(numbers, numbers)
def test_turning_numbers_round_swaps_the_ends(one: np.ndarray, other: np.ndarray):
    assert end_p_value(one, other, high=True) == pytest.approx(end_p_value(-one, -other, high=False))


@given(small, small, small, small)
def test_a_share_is_as_probable_as_counting_says(drawn: int, of: int, marked: int, rest: int):
    among = marked + rest
    if of > among:
        return
    ways = sum(math.comb(marked, k) * math.comb(rest, of - k) for k in range(drawn, of + 1))
    assert share_p_value(drawn, of, marked, among) == pytest.approx(
        float(Fraction(ways, math.comb(among, of))), abs=1e-12
    )


@pytest.mark.parametrize("count", [30, 50, 300])
def test_the_ks_p_value_is_no_smaller_than_the_exact_one_of_two_equal_samples(count: int):
    """Exact by reflection: Gnedenko & Korolyuk (1951)."""
    for steps in range(1, count + 1):
        terms = (
            (-1) ** (j + 1) * Fraction(math.comb(2 * count, count - j * steps), math.comb(2 * count, count))
            for j in range(1, count // steps + 1)
        )
        exact = float(2 * sum(terms))
        below = np.arange(count)
        found = ks_p_value(below, below + steps - 0.5)
        assert ks_statistic(below, below + steps - 0.5) == pytest.approx(steps / count)
        assert found >= min(1.0, exact) * 0.97


def test_shares_of_many_photos_are_told_too():
    assert share_p_value(3000, 5000, 5000, 10_000) < 1e-50
    assert 0.4 < share_p_value(2500, 5000, 5000, 10_000) < 0.6


@pytest.mark.parametrize("ties", [False, True])
def test_without_a_difference_hardly_more_than_the_level_is_rejected(ties: bool):
    rng = np.random.default_rng(7)
    trials, found = 800, {"ks": [0, 0], "low": [0, 0], "high": [0, 0], "column": [0, 0]}
    for _ in range(trials):
        one, other = rng.normal(size=80), rng.normal(size=50)
        if ties:
            one, other = one.round(), other.round()
        p_values = {
            "ks": ks_p_value(one, other),
            "low": end_p_value(one, other, high=False),
            "high": end_p_value(one, other, high=True),
            "column": column_p_value(one, other),
        }
        for name, p_value in p_values.items():
            for place, level in enumerate((0.05, 0.01)):
                found[name][place] += p_value <= level
    for name, (often, seldom) in found.items():
        assert often / trials < 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials), name
        assert seldom / trials < 0.01 + 3 * math.sqrt(0.01 * 0.99 / trials), name


def test_the_larger_the_shift_the_smaller_the_p_value():
    one, other = np.random.default_rng(1).normal(size=(2, 300))
    found = [column_p_value(one, other + shift) for shift in (0, 0.5, 1, 2, 4)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 1e-20


def test_a_tenth_of_the_photos_that_changed_much_is_seen_where_ks_sees_nothing():
    rng = np.random.default_rng(2)
    one, other = rng.normal(size=500), np.concatenate([rng.normal(size=450), rng.normal(-5, 1, size=50)])
    assert column_p_value(one, other) < 1e-3 * ks_p_value(one, other)


def test_columns_of_one_value_do_not_differ_and_of_two_values_do():
    assert column_p_value(np.full(300, 288), np.full(50, 288)) == 1
    assert column_p_value(np.full(300, 288), np.full(50, 640)) < 1e-6


@given(st.lists(st.floats(0, 1), max_size=6))
def test_several_tests_are_as_extreme_as_their_number_allows(p_values: list[float]):
    assert smallest(p_values) == min([1.0, *(len(p_values) * each for each in p_values)])
