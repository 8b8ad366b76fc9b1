"""Robustness and consistency say what a model that is known by heart does."""

import numpy as np
import pytest

from training.evaluation.figures.corruptions import CORRUPTIONS, Pixels
from training.evaluation.figures.latency import measure_latency
from training.evaluation.figures.robustness import measure_consistency, measure_robustness, stratified, try_corruptions

PHOTOS = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
TRUTH = np.arange(40) % 2


def always_the_first(pixels: Pixels) -> np.ndarray:
    return np.zeros(len(pixels), int)


def knows_the_photos(pixels: Pixels) -> np.ndarray:
    """Right of a photo as it is, wrong of anything else."""
    known = {photo.tobytes(): truth for photo, truth in zip(PHOTOS, TRUTH, strict=True)}
    return np.array([known.get(photo.tobytes(), 1 - TRUTH[n % 40]) for n, photo in enumerate(pixels)])


def test_a_model_that_does_not_look_loses_nothing():
    found = measure_robustness(try_corruptions(always_the_first, PHOTOS, seed=1), TRUTH)
    assert (found.clean, found.drop, found.drop_interval) == (0.5, 0, (0, 0))
    assert set(found.curves) == set(CORRUPTIONS)
    assert all(share == 0.5 for curve in found.curves.values() for share, _ in curve)
    assert measure_consistency(always_the_first, PHOTOS).share == 1


def test_a_model_that_learned_by_heart_loses_nearly_all():
    found = measure_robustness(try_corruptions(knows_the_photos, PHOTOS, seed=1), TRUTH)
    assert found.clean == 1
    assert found.drop > 0.95  # few bars hide nothing of so small a picture
    assert found.weakest in CORRUPTIONS
    consistency = measure_consistency(knows_the_photos, PHOTOS)
    assert consistency.share == 0
    assert consistency.interval[0] == 0


def test_the_interval_of_the_drop_is_of_pairs():
    def night_blind(pixels: Pixels) -> np.ndarray:
        return np.where(pixels.mean(axis=(1, 2, 3)) < 100, 0, np.resize(TRUTH, len(pixels)))

    found = measure_robustness(try_corruptions(night_blind, PHOTOS, seed=1), TRUTH)
    assert found.curves["night"][4][0] == 0.5
    assert found.drop_interval[0] < found.drop < found.drop_interval[1]
    assert 0 < found.drop < 0.2


@pytest.mark.parametrize("most", [1, 7, 30, 90, 500])
def test_a_sample_keeps_the_classes_as_common_as_they_are(most: int):
    truth = np.array([0, 1, 1] * 30)
    places = stratified(truth, most)
    assert len(set(places)) == len(places) == min(most, 90)
    assert abs(truth[places].sum() - len(places) * 2 / 3) <= 1
    assert np.array_equal(places, np.sort(places))


def test_latency_is_told_in_milliseconds_after_a_warm_up():
    ticks = iter([tick for n in range(15) for tick in (n, n + (9 if n < 5 else 0.002))])
    found = measure_latency(
        lambda pixels: np.ones((len(pixels), 2), np.float32), PHOTOS, calls=10, clock=lambda: next(ticks)
    )
    assert (found.calls, found.p50, found.p99) == (10, pytest.approx(2), pytest.approx(2))
