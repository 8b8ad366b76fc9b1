"""Intervals of differences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.intervals import difference_interval, recovered_difference, wilson_interval

COUNTS = st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


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
