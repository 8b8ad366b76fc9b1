"""Accuracy without labels: right where confidence means what it says, and unknown where photos are unlike any."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.accuracy import Known, estimate_accuracy, learn_threshold
from registry.versions.reference import Reference
from tests.monitoring.made import World

WORLD = World(2)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_as_many_known_photos_are_below_the_threshold_as_are_wrong(seed: int, count: int):
    rng = np.random.default_rng(seed)
    confidence, right = rng.permutation(count) / count, rng.uniform(size=count) < 0.7
    assert (confidence < learn_threshold(confidence, right)).sum() == (~right).sum()


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_the_interval_holds_the_accuracy_of_calibrated_answers(shift: float):
    held, errors = 0, list[float]()
    for seed in range(40):
        rng = np.random.default_rng([seed, 5])
        reference, window = WORLD.reference(400, rng), WORLD.window(300, rng, shift)
        actual = float((window.probabilities.argmax(axis=1) == WORLD.truth(window, rng)).mean())
        found = estimate_accuracy(reference, window.probabilities)
        assert found.accuracy is not None
        held += found.low <= actual <= found.high
        errors.append(found.accuracy - actual)
    assert held >= 36
    assert abs(np.mean(errors)) < 0.02


def test_where_photos_are_unlike_any_nothing_is_estimated():
    rng = np.random.default_rng(6)
    reference, window = WORLD.reference(100, rng), WORLD.window(60, rng)
    found = estimate_accuracy(reference, window.probabilities, np.ones(60))
    assert (found.accuracy, found.low, found.high, found.unlike) == (None, 0.0, 1.0, 1.0)
    assert found.sentence == "accuracy unknown: 100% of the photos are unlike any that the version was tested on"
    assert estimate_accuracy(reference, window.probabilities, window.strangeness).accuracy is not None


def test_few_photos_are_no_estimate():
    rng = np.random.default_rng(7)
    reference, window = WORLD.reference(100, rng), WORLD.window(29, rng)
    assert "29 photos are too few" in estimate_accuracy(reference, window.probabilities).because
    assert "too few" in estimate_accuracy(WORLD.reference(20, rng), WORLD.window(60, rng).probabilities).because


def test_the_order_of_photos_does_not_matter_and_more_confidence_is_more_accuracy():
    rng = np.random.default_rng(8)
    reference, window = WORLD.reference(200, rng), WORLD.window(100, rng)
    found = estimate_accuracy(reference, window.probabilities)
    assert estimate_accuracy(reference, window.probabilities[::-1]) == found
    surer = np.where(window.probabilities > 0.5, 0.999, 0.001)
    more = estimate_accuracy(reference, surer).accuracy
    assert more is not None
    assert found.accuracy is not None
    assert more >= found.accuracy


def test_a_perfect_model_on_few_photos_is_not_said_to_be_certain():
    rng = np.random.default_rng(9)
    reference = WORLD.reference(60, rng)
    sure = np.tile(np.array([[1, 0]], dtype=np.float32), (60, 1))
    right = replace(
        reference,
        probabilities=sure,
        truth=np.zeros(60, np.uint16),
        worse_probabilities=sure,
        worse_truth=np.zeros(60, np.uint16),
    )
    found = estimate_accuracy(right, sure[:40])
    assert found.accuracy == 1
    assert found.low < 0.99


def test_the_interval_is_wider_with_a_small_reference_and_where_a_corruption_misleads():
    rng = np.random.default_rng(10)
    window = WORLD.window(2000, rng)

    def width(reference: Reference) -> float:
        found = estimate_accuracy(reference, window.probabilities)
        assert found.accuracy is not None
        return found.accuracy - found.low

    small, large = ([WORLD.reference(count, rng) for _ in range(12)] for count in (60, 900))
    assert np.mean([width(each) for each in small]) > 1.5 * np.mean([width(each) for each in large])
    misleading = large[0]
    blurred = misleading.worse_kind == 1  # all of these are answered wrongly, however sure
    wrong = np.where(blurred, 1 - misleading.worse_probabilities.argmax(axis=1), misleading.worse_truth).astype(
        np.uint16
    )
    assert width(replace(misleading, worse_truth=wrong)) > 3 * width(misleading)


def overconfident(rng: np.random.Generator, photos: int, kinds: int = 4) -> Reference:
    """A reference whose corrupted copies are strange, and answered too surely: 90 % sure, 60 % right."""
    reference = WORLD.reference(photos, rng)
    return replace(
        reference,
        kinds=tuple(f"kind {number}" for number in range(kinds)),
        strangeness=rng.uniform(0.1, 0.3, photos).astype(np.float32),
        worse_probabilities=np.tile(np.array([[0.9, 0.1]], dtype=np.float32), (photos, 1)),
        worse_truth=(rng.uniform(size=photos) >= 0.6).astype(np.uint16),
        worse_strangeness=rng.uniform(0.6, 0.8, photos).astype(np.float32),
        worse_kind=(np.arange(photos) % kinds).astype(np.uint8),
    )


def test_confidence_of_photos_like_the_corrupted_copies_is_corrected_by_theirs():
    reference = overconfident(np.random.default_rng(12), 400)
    sure = np.tile(np.array([[0.9, 0.1]], dtype=np.float32), (200, 1))
    found = estimate_accuracy(reference, sure, np.full(200, 0.7, np.float32))
    assert found.accuracy == pytest.approx(0.6, abs=0.06)
    assert found.low < 0.6 < found.high


def test_photos_like_the_validation_photos_are_estimated_by_the_share_that_reaches_the_threshold():
    rng = np.random.default_rng(13)
    reference = overconfident(rng, 400)
    window = WORLD.window(200, rng)
    usual = rng.uniform(0.1, 0.3, 200).astype(np.float32)
    without = estimate_accuracy(reference, window.probabilities)
    assert estimate_accuracy(reference, window.probabilities, usual).accuracy == without.accuracy


def test_where_the_only_kind_of_corruption_misleads_the_interval_is_wide():
    """Nothing of one kind is known from others; of four that mislead equally, each is known from the other three."""
    window = WORLD.window(300, np.random.default_rng(15))
    widths = list[float]()
    for kinds in (1, 4):
        reference = overconfident(np.random.default_rng(14), 400, kinds)
        found = estimate_accuracy(reference, window.probabilities, np.full(300, 0.2, np.float32))
        widths.append(found.high - found.low)
    assert widths[0] > 2 * widths[1]


@pytest.mark.parametrize("kinds", [4, 8])
def test_the_interval_holds_the_accuracy_on_a_further_kind_of_the_same_distribution_of_kinds(kinds: int):
    """Each kind is answered 90 % sure, and right by a share of its own."""
    rng, held, sims = np.random.default_rng(16), 0, 200
    sure = np.tile(np.array([[0.9, 0.1]], dtype=np.float32), (400, 1))
    for _ in range(sims):
        shares = rng.normal(0.7, 0.08, kinds + 1).clip(0, 1)
        reference = overconfident(rng, 400, kinds)
        right = rng.uniform(size=400) < shares[reference.worse_kind]
        reference = replace(reference, worse_truth=(~right).astype(np.uint16))
        found = estimate_accuracy(reference, sure, np.full(400, 0.7, np.float32))
        held += found.low <= shares[kinds] <= found.high
    assert held / sims >= 0.93


@given(st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.3, 1.0]))
def test_an_estimate_is_a_share_whatever_the_strangeness_is(usual: float, now: float):
    """Strangeness that is equal for all photos has no classes, and a window may be in none that is known."""
    rng = np.random.default_rng(17)
    reference = WORLD.reference(60, rng)
    constant = np.full(60, usual, np.float32)
    known = Known.of(replace(reference, strangeness=constant, worse_strangeness=constant))
    assert 0 <= known.accuracy(WORLD.window(40, rng).probabilities.max(axis=1), np.full(40, now, np.float32)) <= 1
