"""Hours become windows: every photo in one, none before its hour is over, quiet hours joined."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.windows import HOUR, Window, alarms, spans, thinned

times = st.lists(st.floats(0, 40 * HOUR), max_size=200).map(np.array)


@settings(max_examples=50, deadline=None)
@given(times, st.floats(0, 60 * HOUR), st.integers(1, 30), st.integers(1, 24))
def test_spans_hold_whole_hours_and_each_photo_once(seconds: np.ndarray, until: float, fewest: int, most: int):
    found = spans(seconds, until=until, fewest=fewest, most_hours=most)
    places = [place for span in found for place in span.indices.tolist()]
    assert len(places) == len(set(places))
    for span, after in itertools.zip_longest(found, found[1:]):
        inside = (seconds >= span.first * HOUR) & (seconds < (span.first + span.hours) * HOUR)
        assert set(span.indices.tolist()) == set(np.flatnonzero(inside).tolist())
        assert (span.first + span.hours) * HOUR <= until
        assert 1 <= span.hours <= most
        assert len(span.indices) >= fewest or span.hours == most
        assert after is None or after.first == span.first + span.hours


@settings(max_examples=50, deadline=None)
@given(times)
def test_a_busy_hour_is_a_window_of_its_own(seconds: np.ndarray):
    for span in spans(seconds, until=60 * HOUR, fewest=1):
        assert span.hours == 1 or not ((seconds >= span.first * HOUR) & (seconds < (span.first + 1) * HOUR)).any()


@settings(max_examples=50, deadline=None)
@given(times, st.floats(0, 600))
def test_thinned_photos_are_apart_and_none_between_could_be_kept(seconds: np.ndarray, apart: float):
    kept = seconds[thinned(seconds, apart=apart)]
    assert (np.diff(kept) >= apart).all()
    for second in seconds:
        assert (abs(kept - second) <= apart).any()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), max_size=40))
def test_alarms_begin_and_end_with_drift_and_two_quiet_windows_lie_between_them(drifted: list[bool]):
    found = alarms(drifted)
    assert all(drifted[first] and drifted[last] for first, last in found)
    covered = {place for first, last in found for place in range(first, last + 1)}
    assert {place for place, each in enumerate(drifted) if each} <= covered
    for (_, last), (first, _) in itertools.pairwise(found):
        assert first - last > 2


def test_a_long_shift_is_one_alarm():
    assert alarms([False, True, True, False, True, False, False, True]) == [(1, 4), (7, 7)]


def test_arrays_of_another_number_of_photos_are_refused():
    with pytest.raises(ValueError, match="2 rows of strangeness for 3 photos"):
        Window(probabilities=np.full((3, 2), 0.5), strangeness=np.zeros(2))
