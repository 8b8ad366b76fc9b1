"""A benchmark of accuracy measures nothing twice, states its uncertainty, and has references that can win."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.support.accuracy.linear import best_linear, colours
from benchmarks.support.accuracy.reference_training import answer_reference, train_reference
from benchmarks.support.accuracy.trials import Outcome, Repeated, Trials
from tests.training.photos import jpeg

GOOD = Outcome(confusion=((8, 2), (0, 30)), cpu_seconds=1.5)


def test_an_outcome_counts_classes_alike():
    assert (GOOD.photos, GOOD.right, GOOD.balanced) == (40, 38, 0.9)
    assert Outcome.of(np.array([0, 1, 1]), np.array([0, 0, 1]), ("a", "b"), 1.0).confusion == ((1, 0), (1, 1))


def test_what_was_measured_is_not_measured_again_unless_asked_otherwise(tmp_path: Path):
    measured: list[Path] = []

    def run(place: Path) -> Outcome:
        measured.append(place)
        return GOOD

    said: list[str] = []
    for settings in ({"epochs": 1}, {"epochs": 1}, {"epochs": 2}):
        assert Trials(tmp_path, said.append).get("real", "petpark", 3, settings, run) == GOOD
    assert len(measured) == len(set(measured)) == len(said) == 2
    assert measured[0] == Trials(tmp_path, said.append).place("real", "petpark", 3, {"epochs": 1})
    Trials(tmp_path, said.append).get("real", "petpark", 4, {"epochs": 1}, run)
    assert len(measured) == 3


def test_the_interval_of_several_seeds_allows_for_splits_that_share_photos():
    figure = Repeated.of([0.80, 0.82, 0.84])
    assert figure.mean == pytest.approx(0.82)
    assert figure.half == pytest.approx(4.303 * 0.02 * math.sqrt(1 / 3 + 2 / 7))
    assert (figure.low, figure.high) == pytest.approx((0.82 - figure.half, 0.82 + figure.half))
    assert Repeated.of([0.8]).low == -math.inf


@pytest.mark.parametrize("width", [4, 400])
def test_a_linear_model_finds_what_is_linear_and_nothing_else(width: int):
    chance = np.random.default_rng(1)
    features, easy, hard = chance.normal(size=(300, width)), np.arange(300) % 2, chance.integers(0, 2, 300)
    features[:, 0] += 6 * easy
    for truth, low, high in ((easy, 0.75, 1.0), (hard, 0.3, 0.7)):
        answers = best_linear(features[:200], truth[:200], features[200:], truth[200:])
        assert low <= (answers == truth[200:]).mean() <= high


def test_colours_are_counted_in_every_photo():
    photos = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    assert (colours(photos).sum(axis=1) == 64).all()
    assert (colours(photos * 0)[:, 0] == 64).all()


def test_the_reference_learns_within_the_time_that_it_is_given():
    torch.set_num_threads(2)
    photos = [jpeg(number, bright=number % 2 == 1) for number in range(64)]
    targets = [number % 2 for number in range(64)]
    asked = itertools.count()  # a second passes between two looks at the clock
    model = train_reference(
        photos, targets, classes=2, size=32, seed=0, cpu_seconds=80.0, clock=lambda: float(next(asked))
    )
    assert next(asked) < 90
    new = [jpeg(1_000 + number, bright=number % 2 == 1) for number in range(20)]
    assert (answer_reference(model, new, size=32) == np.arange(20) % 2).mean() > 0.7
