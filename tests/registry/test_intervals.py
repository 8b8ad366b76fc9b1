"""Intervals of differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.intervals import difference_interval, recovered_difference, share_sequence, wilson_interval

COUNTS = st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@pytest.mark.parametrize(
    ("right", "of", "interval"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (20, 20, (0.8389, 1.0)),
    ],
)
def test_the_interval_of_a_share_is_the_published_one(right: int, of: int, interval: tuple[float, float]) -> None:
    """Method 3 in table I of Newcombe, "Two-sided confidence intervals for the single proportion", 1998."""
    assert wilson_interval(right, of) == pytest.approx(interval, abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "interval"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((6, 7), (2, 7), (0.0582, 0.8062)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((0, 10), (0, 20), (-0.1611, 0.2775)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
    ],
)
def test_the_interval_of_a_difference_is_the_published_one(
    first: tuple[int, int], second: tuple[int, int], interval: tuple[float, float]
) -> None:
    """Method 10 in table II of Newcombe, "Interval estimation for the difference", 1998."""
    assert difference_interval(*first, *second) == pytest.approx(interval, abs=5e-5)


def test_without_observations_the_interval_is_the_whole_range() -> None:
    assert wilson_interval(0, 0) == share_sequence(0, 0, alpha=0.05) == (0.0, 1.0)


@given(COUNTS, COUNTS)
def test_the_interval_of_a_difference_is_recovered_from_those_of_both(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    shares = [(right / of, wilson_interval(right, of)) for right, of in (first, second)]
    low, high = recovered_difference(*shares[0], *shares[1])
    assert (low, high) == difference_interval(*first, *second)
    assert low <= shares[0][0] - shares[1][0] <= high
    swapped = recovered_difference(*shares[1], *shares[0])
    assert swapped == (pytest.approx(-high), pytest.approx(-low))


def test_values_without_doubt_differ_without_doubt() -> None:
    assert recovered_difference(0.9, (0.9, 0.9), 0.5, (0.4, 0.6)) == (pytest.approx(0.3), pytest.approx(0.5))


@given(COUNTS, st.sampled_from([0.05, 0.001]))
def test_the_interval_for_all_times_holds_the_share_and_is_wider_at_a_smaller_alpha(
    seen: tuple[int, int], alpha: float
) -> None:
    low, high = share_sequence(*seen, alpha=alpha)
    assert 0 <= low <= seen[0] / seen[1] <= high <= 1
    wider = share_sequence(*seen, alpha=alpha / 10)
    assert (wider[0] <= low, wider[1] >= high) == (True, True)
    mirrored = share_sequence(seen[1] - seen[0], seen[1], alpha=alpha)
    assert mirrored == (pytest.approx(1 - high, abs=1e-9), pytest.approx(1 - low, abs=1e-9))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_all_intervals_of_a_long_series_hold_the_share_as_often_as_stated(share: float) -> None:
    """800 series of 1,000 observations, looked at after each: stated are at most 5 % that ever miss."""
    counts = np.cumsum(np.random.default_rng(3).random((800, 1000)) < share, axis=1)
    bounds = np.array([_misses(of, share) for of in range(1, 1001)])
    missed = ((counts <= bounds[:, 0]) | (counts >= bounds[:, 1])).any(axis=1)
    assert missed.mean() <= 0.05


def _misses(of: int, share: float) -> tuple[int, int]:
    """The largest count whose interval is below `share`, or -1, and the smallest whose interval is above."""

    def first(found: int, above: bool) -> int:
        low, high = (0, of + 1)
        while low < high:
            middle = (low + high) // 2
            ends = share_sequence(middle, of, alpha=0.05)
            past = ends[0] > share if above else ends[1] >= share
            low, high = (low, middle) if past else (middle + 1, high)
        return low + found

    return first(-1, above=False), first(0, above=True)
