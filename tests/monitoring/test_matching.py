"""A window is compared with the part of the reference that has as much colour as it has."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitoring.matching import FEWEST_OF_A_KIND, INFRA_RED, matched


def chroma(dark: int, light: int) -> np.ndarray:
    return np.array([0.0] * dark + [0.2] * light)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 50), st.integers(0, 50), st.integers(0, 99))
def test_shares_are_those_of_the_window_or_everything_is_compared(
    dark: int, light: int, window_dark: int, window_light: int, seed: int
):
    reference, window = chroma(dark, light), chroma(window_dark, window_light)
    places = matched(reference, window, np.random.default_rng(seed))
    assert len(set(places.tolist())) == len(places)
    assert (np.diff(places) > 0).all()
    if len(places) < len(reference):
        assert min(dark, light) >= FEWEST_OF_A_KIND
        assert len(places) >= FEWEST_OF_A_KIND
        share = window_dark / (window_dark + window_light)
        assert abs((reference[places] < INFRA_RED).mean() - share) <= 1 / len(places)
    elif min(dark, light) < FEWEST_OF_A_KIND:
        assert len(places) == len(reference)


def test_a_night_is_compared_with_nights():
    places = matched(chroma(60, 400), chroma(100, 0), np.random.default_rng(0))
    assert places.tolist() == list(range(60))


def test_where_the_reference_knows_no_night_it_is_compared_with_days():
    assert len(matched(chroma(20, 400), chroma(100, 0), np.random.default_rng(0))) == 420
    assert len(matched(chroma(0, 400), chroma(100, 0), np.random.default_rng(0))) == 400
