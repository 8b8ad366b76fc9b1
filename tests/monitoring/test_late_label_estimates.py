"""Samples are weighted so that the accuracy is unbiased; agreement is that of the published example."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.late_labels.estimates import Counts, allocate, band, choose_sample, cohens_kappa, stratified_accuracy
from registry.intervals import Z95, wilson_interval

labels = st.lists(st.sampled_from(["cat", "dog", "neither"]), min_size=1, max_size=40)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0.01, 0.5)), min_size=1, max_size=8), st.integers(0, 120))
def test_every_stratum_gets_a_photo_and_none_more_than_it_has(strata: list[tuple[int, float]], count: int):
    sizes, spread = [size for size, _ in strata], [each for _, each in strata]
    given_ = allocate(sizes, spread, count)
    assert all(min(1, size) <= some <= size for size, some in zip(sizes, given_, strict=True))
    assert sum(given_) == max(min(count, sum(sizes)), sum(min(1, size) for size in sizes))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 80))
def test_a_sample_has_each_photo_once_and_some_of_each_stratum(seed: int, count: int, wanted: int):
    rng = np.random.default_rng(seed)
    strata, confidence = rng.integers(0, 3, count).tolist(), rng.uniform(0.5, 1, count)
    sample = choose_sample(strata, confidence, count=wanted, seed=seed)
    assert len(set(sample.indices.tolist())) == len(sample.indices) >= min(wanted, count)
    assert {strata[place] for place in sample.indices} == set(strata)
    assert sample.twice.sum() == math.ceil(0.1 * len(sample.indices))
    again = choose_sample(strata, confidence, count=wanted, seed=seed)
    assert (again.indices.tolist(), again.twice.tolist()) == (sample.indices.tolist(), sample.twice.tolist())


def test_photos_that_two_people_label_are_drawn_from_the_whole_sample():
    samples = [choose_sample(["a"] * 50, np.full(50, 0.9), count=50, seed=seed) for seed in range(40)]
    drawn = np.sum([sample.twice for sample in samples], axis=0)
    assert drawn.sum() == 40 * 5
    assert (drawn > 0).sum() > 40, "of 50 indices, each is drawn 4 times on average"


def test_no_photos_are_no_sample():
    assert len(choose_sample([], np.empty(0), count=10, seed=0).indices) == 0


def test_a_band_begins_at_its_bound():
    confidences = (0.0, 0.59, 0.6, 0.79, 0.8, 0.94, 0.95, 1.0)
    assert [band(each) for each in confidences] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_photos_of_low_confidence_are_sampled_more():
    confidence = np.array([0.55] * 100 + [0.99] * 900)
    sample = choose_sample([band(each) for each in confidence], confidence, count=100, seed=1)
    assert (confidence[sample.indices] < 0.6).sum() > 25


def test_a_stratum_in_which_the_model_is_certain_is_sampled_too():
    confidence = np.array([1.0] * 100 + [0.9] * 100)  # spreads of 0.1, which is the least, and 0.3
    sample = choose_sample([band(each) for each in confidence], confidence, count=40, seed=1)
    assert 9 <= (confidence[sample.indices] == 1).sum() <= 11


@pytest.mark.parametrize(
    "wrong_camera", [False, True], ids=["calibrated", "confidently wrong at one camera of three, which has few photos"]
)
def test_the_accuracy_is_unbiased_and_its_interval_holds_the_truth(wrong_camera: bool):
    rng = np.random.default_rng(2)
    count, trials = 2000, 250
    confidence, camera = rng.uniform(0.5, 1, count), rng.choice(3, count, p=[0.1, 0.2, 0.7])
    right = rng.uniform(size=count) < np.where(wrong_camera & (camera == 0), 0.5, confidence)
    strata = list(zip(camera.tolist(), map(band, confidence), strict=True))
    number = {stratum: place for place, stratum in enumerate(sorted(set(strata)))}
    of = np.array([number[stratum] for stratum in strata])
    errors, held = list[float](), 0
    for seed in range(trials):
        indices = choose_sample(strata, confidence, count=120, seed=seed).indices
        labelled, those_right = np.bincount(of[indices]), np.bincount(of[indices], weights=right[indices])
        counts = zip(np.bincount(of).tolist(), labelled.tolist(), those_right.astype(int).tolist(), strict=True)
        found = stratified_accuracy([Counts(recorded=n, labelled=m, right=r) for n, m, r in counts])
        assert found is not None
        assert found.covered == 1
        errors.append(found.accuracy - right.mean())
        held += found.interval[0] <= right.mean() <= found.interval[1]
    assert abs(np.mean(errors)) < 3 * np.std(errors) / math.sqrt(trials)
    assert held >= 0.95 * trials


COUNTS = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 200)).map(
    lambda each: Counts(recorded=sum(each), labelled=each[0] + each[1], right=each[0])
)


@settings(max_examples=100, deadline=None)
@given(st.lists(COUNTS, min_size=1, max_size=12))
def test_the_interval_holds_the_estimate_and_never_ends_outside_of_0_and_1(strata: list[Counts]):
    found = stratified_accuracy(strata)
    if found is None:
        assert all(each.labelled == 0 for each in strata)
        return
    low, high = found.interval
    assert 0 <= low <= found.accuracy + 1e-12
    assert found.accuracy - 1e-12 <= high <= 1
    assert high > low
    assert 0 < found.covered <= 1


def test_a_stratum_counts_by_what_was_recorded_of_it_and_not_by_what_was_labelled():
    found = stratified_accuracy(
        [Counts(recorded=900, labelled=10, right=10), Counts(recorded=100, labelled=90, right=0)]
    )
    assert found is not None
    assert (found.accuracy, found.labelled, found.covered) == (pytest.approx(0.9), 100, 1)


def test_the_next_photo_is_of_the_stratum_whose_variance_it_lowers_most():
    """As seats of the US House: https://en.wikipedia.org/wiki/Huntington%E2%80%93Hill_method"""
    assert allocate([53, 24, 23], [0.3, 0.3, 0.3], 10) == [5, 3, 2]
    assert allocate([100, 100], [0.3, 0.1], 40) == [30, 10]


def test_the_interval_is_of_as_many_photos_as_have_the_variance_of_the_strata():
    found = stratified_accuracy(
        [Counts(recorded=900, labelled=10, right=5), Counts(recorded=100, labelled=90, right=45)]
    )
    assert found is not None
    worth = 0.25 / (0.9**2 * 0.25 / 10 + 0.1**2 * 0.25 / 90)
    assert found.interval == pytest.approx(wilson_interval(0.5 * worth, worth))


def test_a_stratum_without_a_label_is_not_covered():
    found = stratified_accuracy([Counts(recorded=30, labelled=5, right=5), Counts(recorded=70, labelled=0, right=0)])
    assert found is not None
    assert (found.accuracy, found.covered) == (1, pytest.approx(0.3))
    assert stratified_accuracy([]) is None


def test_a_few_correct_predictions_are_not_certain():
    found = stratified_accuracy([Counts(recorded=3, labelled=3, right=3)])
    assert found is not None
    assert found.interval[0] < 0.6


@pytest.mark.parametrize("wrong", [(3, 2, 3), (2, 3, 1), (3, 2, -1)], ids=["right", "labelled", "negative"])
def test_impossible_counts_are_refused(wrong: tuple[int, int, int]):
    recorded, labelled, right = wrong
    with pytest.raises(ValueError, match="a stratum has more"):
        stratified_accuracy(
            [Counts(recorded=9, labelled=2, right=1), Counts(recorded=recorded, labelled=labelled, right=right)]
        )


@settings(max_examples=50, deadline=None)
@given(labels)
def test_full_agreement_has_a_kappa_of_1(one: list[str]):
    found = cohens_kappa(one, one)
    assert found.kappa == pytest.approx(1)
    assert found.share == 1


@settings(max_examples=50, deadline=None)
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


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=9, max_size=9))
def test_the_interval_of_kappa_is_that_of_the_delta_method(counts: list[int]):
    """Fleiss, Cohen and Everitt derived it from kappa's gradient, which is taken in small steps here."""
    table = np.array(counts, dtype=float).reshape(3, 3)
    share = table / table.sum()

    def kappa(of: np.ndarray) -> float:
        chance = of.sum(axis=1) @ of.sum(axis=0)
        return float((np.trace(of) - chance) / (1 - chance))

    steps = [np.eye(9)[place].reshape(3, 3) * 1e-6 for place in range(9)]
    gradient = np.array([(kappa(share + step) - kappa(share - step)) / 2e-6 for step in steps])
    spread = math.sqrt((share.ravel() @ gradient**2 - (share.ravel() @ gradient) ** 2) / table.sum())
    pairs = [(str(row), str(column)) for row in range(3) for column in range(3) for _ in range(int(table[row, column]))]
    found = cohens_kappa([one for one, _ in pairs], [other for _, other in pairs])
    assert found.kappa == pytest.approx(kappa(share))
    low, high = found.kappa - Z95 * spread, found.kappa + Z95 * spread
    assert found.interval == (pytest.approx(max(-1, low), abs=1e-5), pytest.approx(min(1, high), abs=1e-5))


def test_agreement_on_a_few_photos_is_not_certain():
    low, high = cohens_kappa(["cat", "dog", "cat"], ["cat", "dog", "cat"]).interval
    assert low < 0.2
    assert high == 1
    low, high = cohens_kappa(["cat"], ["dog"]).interval
    assert low == 0
    assert high > 0.7


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
    with pytest.raises(ValueError, match="the labels of two people"):
        cohens_kappa(["cat"], [])
