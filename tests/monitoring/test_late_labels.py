"""Samples are weighted so that the accuracy is unbiased; agreement is that of the published example."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.late_labels import accuracy_over_time, allocate, choose_sample, cohens_kappa

labels = st.lists(st.sampled_from(["cat", "dog", "neither"]), min_size=1, max_size=40)


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0.01, 0.5)), min_size=1, max_size=8), st.integers(0, 120))
def test_every_stratum_gets_a_photo_and_none_more_than_it_has(strata: list[tuple[int, float]], count: int):
    sizes, spread = [size for size, _ in strata], [each for _, each in strata]
    given_ = allocate(sizes, spread, count)
    assert all(min(1, size) <= some <= size for size, some in zip(sizes, given_, strict=True))
    assert sum(given_) == max(min(count, sum(sizes)), sum(min(1, size) for size in sizes))


@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 80))
def test_a_sample_has_each_photo_once_and_weights_that_add_up_to_all(seed: int, count: int, wanted: int):
    rng = np.random.default_rng(seed)
    sample = choose_sample(rng.uniform(0.5, 1, count), rng.integers(0, 3, count).tolist(), count=wanted, seed=seed)
    assert len(set(sample.places.tolist())) == len(sample.places) >= min(wanted, count)
    assert (1 / sample.chances).sum() == pytest.approx(count)
    assert sample.twice.sum() == math.ceil(0.1 * len(sample.places))


def test_no_photos_are_no_sample():
    assert len(choose_sample(np.empty(0), [], count=10, seed=0).places) == 0


def test_photos_of_low_confidence_are_sampled_more():
    confidence = np.array([0.55] * 100 + [0.99] * 900)
    sample = choose_sample(confidence, [0] * 1000, count=100, seed=1)
    assert (confidence[sample.places] < 0.6).sum() > 25


def test_the_weighted_accuracy_is_unbiased_and_its_interval_holds_the_truth():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1, 2000)
    right = rng.uniform(size=2000) < confidence
    found, held = list[float](), 0
    for seed in range(200):
        sample = choose_sample(confidence, ["day"] * 2000, count=120, seed=seed)
        (day,) = accuracy_over_time(["day"] * len(sample.places), right[sample.places], sample.chances)
        found.append(day.accuracy)
        held += day.interval[0] <= right.mean() <= day.interval[1]
    assert np.mean(found) == pytest.approx(right.mean(), abs=0.012)
    assert held >= 184


def test_periods_come_in_their_order():
    found = accuracy_over_time(["2026-11-02", "2026-11-01"], np.array([True, False]), np.array([1.0, 0.5]))
    assert [(each.period, each.labels, each.accuracy) for each in found] == [
        ("2026-11-01", 1, 0.0),
        ("2026-11-02", 1, 1.0),
    ]
    assert accuracy_over_time([], np.empty(0, np.bool_), np.empty(0)) == []
    with pytest.raises(ValueError, match="chance"):
        accuracy_over_time(["a"], np.array([True]), np.array([0.0]))


@given(labels)
def test_who_agrees_always_has_a_kappa_of_1(one: list[str]):
    found = cohens_kappa(one, one)
    assert found.kappa == pytest.approx(1)
    assert found.share == 1


@given(labels, st.randoms(use_true_random=False))
def test_kappa_is_symmetric_and_ignores_order(one: list[str], random: object):
    order = list(range(len(one)))
    random.shuffle(order)  # pyright: ignore[reportAttributeAccessIssue]
    other = [one[place] for place in order]
    found, turned = cohens_kappa(one, other), cohens_kappa(other[::-1], one[::-1])
    assert found.kappa == pytest.approx(turned.kappa)
    assert found.interval == pytest.approx(turned.interval)
    assert found.interval[0] <= found.kappa + 1e-9
    assert found.kappa - 1e-9 <= found.interval[1]


def test_kappa_of_a_known_table():
    """20 yes by both, 5 and 10 by one alone, 15 no by both: observed 0.7, by chance 0.5, kappa 0.4."""
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    found = cohens_kappa([one for one, _ in pairs], [other for _, other in pairs])
    assert (found.photos, found.share) == (50, 0.7)
    assert found.kappa == pytest.approx(0.4)
    low, high = found.interval
    assert (high - low) / 2 / 1.96 == pytest.approx(0.126, abs=0.004)


def test_guesses_have_a_kappa_near_0_and_an_interval_that_holds_it():
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        one, other = rng.choice(["cat", "dog"], (2, 60))
        found = cohens_kappa(one.tolist(), other.tolist())
        held += found.interval[0] <= 0 <= found.interval[1]
    assert held >= 180


def test_one_label_alone_is_agreement_that_proves_nothing():
    assert cohens_kappa(["cat"], ["cat"]).interval == (-1.0, 1.0)
    with pytest.raises(ValueError, match="at least one"):
        cohens_kappa([], [])
    with pytest.raises(ValueError, match="same photos"):
        cohens_kappa(["cat"], [])
