"""A silent camera is noticed, and one whose traffic varies is left alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.traffic import low_p_value, watch_traffic


def hours_of(days: int, seed: int = 0, each: float = 60) -> np.ndarray:
    usual = each * (1 - 0.8 * np.cos(2 * np.pi * np.arange(24 * days) / 24))
    return np.random.default_rng(seed).poisson(usual)


def test_a_camera_that_falls_silent_is_missed_after_an_hour_or_a_day():
    busy, quiet = hours_of(20, each=300), hours_of(20, each=2)
    busy[-1] = 0
    seen = watch_traffic(busy)
    assert seen is not None
    assert seen.missing
    assert (seen.hours, seen.photos) == (1, 0)
    assert seen.sentence.startswith("0 photos in the last hour; on earlier days there were 6")
    quiet[-24:] = 0
    seen = watch_traffic(quiet)
    assert seen is not None
    assert seen.missing
    assert seen.hours == 24


def test_without_a_week_of_history_nothing_is_said():
    assert watch_traffic(hours_of(7)) is None
    assert watch_traffic(hours_of(9)) is not None


def test_a_camera_as_usual_is_hardly_ever_missed():
    hourly = hours_of(120, seed=3)
    found = [watch_traffic(hourly[: end + 1]) for end in range(24 * 30, 24 * 120, 3)]
    assert sum(seen is not None and seen.p_value <= 0.01 for seen in found) <= 0.02 * len(found)
    assert not any(seen is not None and seen.missing for seen in found)


@given(st.lists(st.integers(0, 200), min_size=7, max_size=28).map(np.array), st.integers(0, 300))
def test_fewer_photos_are_never_more_probable(past: np.ndarray, now: int):
    p_value = low_p_value(past, now)
    assert 0 <= p_value <= 1
    assert low_p_value(past, now + 1) >= p_value - 1e-12


def test_counts_that_do_not_vary_are_those_of_a_poisson_distribution_or_wider():
    past = np.full(28, 10)
    exact = sum(math.exp(-10) * 10**k / math.factorial(k) for k in range(3))
    assert low_p_value(past, 2) == pytest.approx(exact, rel=0.5)
    assert low_p_value(past, 2) >= exact
    assert low_p_value(past, 10) == 1


def test_days_that_differ_much_make_a_quiet_one_ordinary():
    steady, varied = np.full(14, 100), np.array([20, 180] * 7)
    assert low_p_value(steady, 30) < 1e-6
    assert low_p_value(varied, 30) > 0.05


def test_few_days_say_less_than_many_of_the_same_kind():
    few, many = np.array([80, 100, 120, 80, 100, 120, 100]), np.array([80, 100, 120, 100] * 7)
    assert low_p_value(few, 40) > 3 * low_p_value(many, 40)
