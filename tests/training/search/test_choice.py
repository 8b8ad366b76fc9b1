"""Which trial is best, and whether that may be luck."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from training.errors import SpecMalformed
from training.evaluation.figures.significance import mcnemar
from training.search.choice import Answers, Score, check_metric, luck, ranked

LABELS = ("cat", "dog")


def answers(truth: list[int], right: list[bool]) -> Answers:
    return Answers(
        labels=LABELS,
        truth=tuple(truth),
        answered=tuple(so if is_right else 1 - so for so, is_right in zip(truth, right, strict=True)),
    )


def test_the_best_has_the_highest_lower_bound_not_the_highest_value() -> None:
    few = Score(value=1.0, interval=(0.7, 1.0))
    many = Score(value=0.9, interval=(0.85, 0.94))
    assert ranked({1: few, 2: many, 3: many}) == [2, 3, 1]
    assert ranked({}) == []


@settings(max_examples=examples(15))
@given(st.integers(0, 9), st.integers(0, 9))
def test_exchanging_answers_is_mcnemars_test_where_photos_count_alike(only_one: int, only_other: int) -> None:
    right_one = [True] * only_one + [False] * only_other + [True, False]
    right_other = [False] * only_one + [True] * only_other + [True, False]
    truth = [number % 2 for number in range(len(right_one))]
    found = luck(answers(truth, right_one), answers(truth, right_other), "accuracy")
    assert found == pytest.approx(mcnemar(only_one, only_other), abs=0.015)


def test_luck_keeps_its_word_where_trials_are_equally_good() -> None:
    source = np.random.default_rng(1)
    truth = [0] * 60 + [1] * 15
    below = sum(
        luck(answers(truth, list(source.random(75) < 0.8)), answers(truth, list(source.random(75) < 0.8)), metric) < 0.1
        for metric in ("balanced_accuracy", "recall_dog")
        for _ in range(60)
    )
    assert below <= 22, "12 are expected of 120; so many come once in hundreds of times"


def test_a_class_counts_only_where_the_metric_counts_it() -> None:
    truth = [0] * 20 + [1] * 20
    one, other = answers(truth, [True] * 40), answers(truth, [False] * 20 + [True] * 20)
    assert luck(one, other, "recall_cat") < 0.001
    assert luck(one, other, "recall_dog") == 1.0
    assert luck(one, one, "balanced_accuracy") == 1.0


def test_answers_give_figures_with_bounds_and_are_read_as_they_were_written() -> None:
    found = answers([0] * 10 + [1] * 10, [False] + [True] * 18 + [False])
    assert Answers.from_json(found.to_json()) == found
    metrics = found.metrics()
    for metric in ("accuracy", "balanced_accuracy", "recall_cat", "recall_dog"):
        check_metric(metric, LABELS)
        score = Score.of(metrics, metric)
        assert score.interval[0] < score.value <= score.interval[1]
    with pytest.raises(SpecMalformed, match="recall_dog"):
        check_metric("auroc_dog", LABELS)
