"""Figures that benchmarks judge by."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.support.figures import Trend, median_interval


@given(st.floats(-100, 100), st.floats(-1000, 1000), st.integers(20, 300))
def test_a_line_is_its_own_trend(slope: float, start: float, n: int):
    times = [number / 10 for number in range(n)]
    trend = Trend.of(times, [start + slope * time for time in times])
    assert trend.slope == pytest.approx(slope, abs=1e-6)
    assert trend.low <= trend.slope <= trend.high
    assert trend.high - trend.low < 1e-3


def test_noise_without_growth_is_no_trend_and_growth_in_noise_is_one():
    draw = random.Random(1)
    times = [number / 240 for number in range(2400)]
    flat = [200 + draw.uniform(-20, 20) for _ in times]
    trend = Trend.of(times, flat)
    assert trend.low < 0 < trend.high
    leaking = Trend.of(times, [mb + 3 * time for time, mb in zip(times, flat, strict=True)])
    assert leaking.low > 1


def test_too_few_values_are_said_to_be_too_few():
    with pytest.raises(ValueError, match="a trend takes 20"):
        Trend.of([1.0], [1.0])


@given(st.lists(st.floats(0.1, 10), min_size=6, max_size=40))
def test_the_interval_of_a_median_holds_it_and_leaves_out_the_ends_of_many(values: list[float]):
    median, low, high = median_interval(values)
    assert min(values) <= low <= median <= high <= max(values)
    if len(values) == 6:
        assert (low, high) == (min(values), max(values))


def test_intervals_miss_the_true_median_in_one_of_twenty_cases_at_most():
    draw = random.Random(2)
    cases = [median_interval([draw.gauss(1, 0.1) for _ in range(12)]) for _ in range(2000)]
    assert sum(not low <= 1 <= high for _, low, high in cases) <= 100


def test_few_values_say_nothing_of_a_median():
    assert median_interval([1.0] * 5)[1:] == (float("-inf"), float("inf"))
