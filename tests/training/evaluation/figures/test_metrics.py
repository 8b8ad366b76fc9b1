"""Figures and their intervals agree with what statistics says of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.channel_policy import comparable
from registry.intervals import wilson_interval
from training.evaluation.figures.metrics import auroc, evaluate, mean_interval

counts = st.integers(1, 2000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe, Statistics in Medicine 1998, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_agree_with_the_literature(right: int, of: int, low: float, high: float):
    assert wilson_interval(right, of) == pytest.approx((low, high), abs=5e-5)


@given(counts)
def test_an_interval_holds_the_share_and_stays_between_0_and_1(case: tuple[int, int]):
    low, high = wilson_interval(*case)
    assert 0 <= low <= case[0] / case[1] + 1e-12
    assert case[0] / case[1] - 1e-12 <= high <= 1


@given(counts)
def test_more_photos_make_the_interval_narrower(case: tuple[int, int]):
    low, high = wilson_interval(*case)
    lower, higher = wilson_interval(case[0] * 4, case[1] * 4)
    assert higher - lower < high - low


@given(counts)
def test_failures_mirror_successes(case: tuple[int, int]):
    low, high = wilson_interval(*case)
    assert wilson_interval(case[1] - case[0], case[1]) == pytest.approx((1 - high, 1 - low))


def test_no_photos_say_nothing():
    assert wilson_interval(0, 0) == (0, 1)


@given(counts)
def test_the_mean_of_one_share_has_its_interval(case: tuple[int, int]):
    interval = wilson_interval(*case)
    assert mean_interval({"cat": (case[0] / case[1], interval)}) == pytest.approx(interval)


def test_the_mean_of_two_shares_is_known_better_than_either():
    interval = wilson_interval(80, 100)
    low, high = mean_interval({"cat": (0.8, interval), "dog": (0.8, interval)})
    assert interval[0] < low < 0.8 < high < interval[1]


def test_the_interval_of_balanced_accuracy_covers_the_truth_19_times_out_of_20():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        cats, dogs = rng.binomial(60, 0.9), rng.binomial(150, 0.8)
        shares = {"cat": (cats / 60, wilson_interval(cats, 60)), "dog": (dogs / 150, wilson_interval(dogs, 150))}
        low, high = mean_interval(shares)
        covered += low <= 0.85 <= high
    assert 0.93 < covered / 2000 < 0.975


def test_a_confusion_is_counted_by_truth_then_answer():
    evaluation = evaluate(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), ["cat", "dog"])
    assert evaluation.confusion == ((2, 1), (0, 1))
    assert evaluation.accuracy == 0.75
    assert evaluation.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    cat, dog = evaluation.classes
    assert (cat.precision, cat.recall) == pytest.approx((1, 2 / 3))
    assert (dog.precision, dog.recall) == pytest.approx((1 / 2, 1))


def test_a_class_never_answered_has_no_precision():
    assert evaluate(np.array([0, 1]), np.array([0, 0]), ["cat", "dog"]).classes[1].precision == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_metrics_are_finite_and_consistent(pairs: list[tuple[int, int]]):
    truth, answers = (np.array(column) for column in zip(*[*pairs, (0, 0), (1, 1), (2, 2)], strict=True))
    evaluation = evaluate(truth, answers, ["ant", "bee", "cow"])
    assert sum(map(sum, evaluation.confusion)) == len(truth)
    assert all(0 <= value <= 1 for name, value in evaluation.metrics().items() if name != "n")
    assert evaluation.accuracy == pytest.approx((truth == answers).mean())


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1))
def test_f1_is_the_harmonic_mean(pairs: list[tuple[int, int]]):
    truth, answers = (np.array(column) for column in zip(*[*pairs, (0, 0), (1, 1), (2, 1)], strict=True))
    for figures in evaluate(truth, answers, ["ant", "bee", "cow"]).classes:
        both = figures.precision + figures.recall
        assert figures.f1 == pytest.approx(2 * figures.precision * figures.recall / both if both else 0)


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_auroc_is_the_share_of_pairs_in_the_right_order(those: list[int], others: list[int]):
    won = sum((a > b) + (a == b) / 2 for a in those for b in others)
    is_so = np.array([True] * len(those) + [False] * len(others))
    scores = np.array([*those, *others], np.float32)
    assert auroc(is_so, scores) == pytest.approx(won / (len(those) * len(others)))
    assert auroc(~is_so, scores) == pytest.approx(1 - auroc(is_so, scores))


def test_a_channel_may_compare_every_figure_that_is_better_when_higher_and_no_other():
    metrics = evaluate(np.array([0, 1, 1]), np.array([0, 1, 0]), ["cat", "red-panda"]).metrics()
    highs = {name for name in metrics if name.endswith("_high")}
    assert {name for name in metrics if not comparable(name)} == {*highs, "n"}
    for name in ("calibration_error", "temperature", "slice_gap", "robustness_drop", "mcnemar_p", "acuracy", "recall_"):
        assert not comparable(name)
    for name in ("auroc_cat", "consistency", "consistency_low", "unseen_accuracy_camera"):
        assert comparable(name)
