"""The classifier keeps its level, and names the photos that changed."""

import math

import numpy as np

from monitoring.classifier import classifier_test


def test_without_a_shift_no_more_than_the_level_is_rejected():
    rng = np.random.default_rng(5)
    p_values = np.array(
        [classifier_test(rng.normal(size=(60, 4)), rng.normal(size=(60, 4)), rng).p_value for _ in range(800)]
    )
    for level in (0.05, 0.01):
        assert (p_values <= level).mean() < level + 3 * math.sqrt(level * (1 - level) / len(p_values))


def test_the_photos_that_changed_are_the_strange_ones():
    rng = np.random.default_rng(6)
    reference, window = rng.normal(size=(300, 6)), rng.normal(size=(200, 6))
    changed = rng.permutation(200)[:40]
    window[changed] += 4
    result = classifier_test(reference, window, rng)
    assert result.p_value < 1e-6
    assert len(set(result.strange.tolist()) & set(changed.tolist())) >= 38
    assert len(result.strange) <= 50


def test_the_strangest_photo_comes_first():
    rng = np.random.default_rng(7)
    reference, window = rng.normal(size=(100, 2)), rng.normal(2, 1, size=(100, 2))
    result = classifier_test(reference, window, rng)
    scores = result.scores[result.strange]
    assert (np.diff(scores) <= 0).all()


def test_with_few_photos_nothing_is_told():
    rng = np.random.default_rng(8)
    result = classifier_test(rng.normal(size=(100, 2)), rng.normal(9, 1, size=(19, 2)), rng)
    assert result.p_value == 1
    assert not len(result.strange)
