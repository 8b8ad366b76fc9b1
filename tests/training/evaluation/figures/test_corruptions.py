"""Corruptions are pure, keep a picture a picture, and get worse with severity."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.dataset.generated import draw_photo
from training.evaluation.figures.corruptions import CORRUPTIONS, SEVERITIES, Pixels, reencoded, shifted

names = st.sampled_from(sorted(CORRUPTIONS))
seeds = st.integers(0, 2**31)


def picture(side: int = 48) -> Pixels:
    from imaging import decode

    return decode(draw_photo("cat", seed=1, number=2), side)


PICTURE = picture()


@given(names, st.sampled_from(SEVERITIES), seeds)
def test_the_same_seed_gives_the_same_picture_of_the_same_shape(name: str, severity: int, seed: int):
    before = PICTURE.copy()
    once, again = (CORRUPTIONS[name](PICTURE, severity, seed) for _ in range(2))
    assert np.array_equal(once, again)
    assert once.shape == PICTURE.shape
    assert once.dtype == np.uint8
    assert np.array_equal(PICTURE, before)


@given(names, seeds)
def test_a_higher_severity_is_further_from_the_photo(name: str, seed: int):
    far = [np.abs(CORRUPTIONS[name](PICTURE, severity, seed) - PICTURE.astype(float)).mean() for severity in SEVERITIES]
    assert far[0] > 0
    # A streak's ends fall on whole pixels, and JPEG's tables on whole steps: a little is left to them.
    assert all(later > 0.97 * earlier for earlier, later in itertools.pairwise(far))
    assert far[-1] > 1.2 * far[0]


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("severity", [0, 6])
def test_there_are_five_severities(name: str, severity: int):
    with pytest.raises(ValueError, match="1 to 5"):
        CORRUPTIONS[name](PICTURE, severity, 0)


@pytest.mark.parametrize("name", ["blur", "low resolution", "glare", "bars"])
def test_a_severity_means_the_same_at_every_size(name: str):
    small, large = (np.abs(CORRUPTIONS[name](p, 4, 7) - p.astype(float)).mean() for p in (picture(64), picture(128)))
    assert small == pytest.approx(large, rel=0.4)


def test_night_has_no_colour_left_and_less_light():
    dark = CORRUPTIONS["night"](PICTURE, 5, 0)
    assert np.ptp(dark, axis=2).max() <= 1
    assert dark.mean() < 0.5 * PICTURE.mean()


def test_a_shift_moves_and_comes_back():
    moved = shifted(PICTURE, 1, -2)
    assert np.array_equal(moved[1:, :-2], PICTURE[:-1, 2:])
    assert np.array_equal(shifted(moved, -1, 2)[1:-1, 2:-2], PICTURE[1:-1, 2:-2])
    assert np.array_equal(shifted(np.stack([PICTURE, moved]), 0, 1)[1], shifted(moved, 0, 1))


def test_encoding_again_changes_little():
    assert np.abs(reencoded(PICTURE, 90) - PICTURE.astype(float)).mean() < 6
