"""Both models on the same photos: what differs, by how much, and what could be luck."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.training.evaluation.figures.test_slices import PHOTO
from training.evaluation.baseline.comparison import Incumbent
from training.evaluation.baseline.side_by_side import Figure, Model, RobustnessAnswers, SideBySide, compare_figures
from training.evaluation.figures.corruptions import CORRUPTIONS, Pixels
from training.evaluation.figures.robustness import CorruptedAnswers, try_corruptions
from training.networks.export import Numbers

LABELS = ("cat", "dog")
TRUTH = np.arange(80) % 2
PHOTOS = tuple(
    replace(PHOTO, key=f"{n}.jpg", label=LABELS[truth], group=("gate", "lawn")[n // 40])
    for n, truth in enumerate(TRUTH)
)
PIXELS = np.random.default_rng(0).integers(100, 200, (80, 16, 16, 3), dtype=np.uint8)
PIXELS[TRUTH == 0, :, :8] += 50  # cats are brighter on the left
PIXELS[TRUTH == 1, :, 8:] += 50
TRIED = np.arange(0, 80, 2) + np.arange(40) % 2
"""Both classes."""


def sure(answers: np.ndarray, confidence: float = 0.9) -> Numbers:
    """Probabilities of answers that are given with this confidence."""
    return np.where(np.eye(2, dtype=bool)[answers], confidence, 1 - confidence).astype(np.float32)


class Knows:
    """Knows these photos by heart."""

    def __init__(self, answers: np.ndarray) -> None:
        self.answers = answers

    def classify(self, pixels: Pixels) -> Numbers:
        distance = np.abs(pixels.reshape(len(pixels), 1, -1)[:, :, :48].astype(int) - PIXELS.reshape(80, -1)[:, :48])
        return sure(self.answers[distance.sum(axis=2).argmin(axis=1)])


class Halves:
    """Finds which half of a photo is brighter, in any light above `least`."""

    def __init__(self, *, least: float = 0.0) -> None:
        self.least = least

    def classify(self, pixels: Pixels) -> Numbers:
        left, right = (half.mean(axis=(1, 2, 3)) for half in (pixels[:, :, :8], pixels[:, :, 8:]))
        return sure(((right > left) & (pixels.mean(axis=(1, 2, 3)) >= self.least)).astype(int))


def compared(
    ours: Numbers,
    theirs: Numbers,
    unseen: np.ndarray | None = None,
    *,
    model: Knows | Halves | None = None,
    other: Knows | Halves | None = None,
) -> SideBySide | None:
    model = model or Knows(ours.argmax(axis=1))
    incumbent = Incumbent(
        version=2,
        probabilities=theirs,
        unseen=np.ones(80, dtype=bool) if unseen is None else unseen,
        classify=other and other.classify,
        tried=PIXELS[TRIED],
    )
    answers = (
        try_corruptions(model.classify, PIXELS[TRIED], seed=1)
        if other
        else CorruptedAnswers(clean=ours[TRIED], worse={})
    )
    tries = RobustnessAnswers(places=TRIED, pixels=PIXELS[TRIED], answers=answers)
    return compare_figures(incumbent, Model(model.classify, LABELS, ours), PHOTOS, TRUTH, tries, seed=1)


def figures(found: SideBySide | None) -> dict[str, Figure]:
    assert found is not None
    return {figure.name: figure for figure in found.figures}


def wrong_at(*places: int) -> np.ndarray:
    answers = TRUTH.copy()
    answers[list(places)] ^= 1
    return answers


def test_figures_of_both_are_of_the_same_photos_with_the_interval_of_their_difference():
    found = compared(sure(wrong_at(0, 2, 4)), sure(wrong_at(0, *range(1, 40, 2))))
    told = figures(found)
    assert (told["accuracy"].photos, told["accuracy"].ours, told["accuracy"].theirs) == (80, 77 / 80, 59 / 80)
    assert told["accuracy"].verdict == "better"
    assert (told["of “cat” found"].photos, told["of “cat” found"].ours, told["of “cat” found"].theirs) == (
        40, 37 / 40, 39 / 40,
    )  # fmt: skip
    assert told["of “cat” found"].verdict == ""
    assert all(each.interval[0] < each.difference < each.interval[1] for each in told.values())
    assert found is not None
    assert [flip.key for flip in found.lost] == ["2.jpg", "4.jpg"]
    assert {(flip.truth, flip.ours, flip.theirs) for flip in found.lost} == {("cat", "dog", "cat")}
    assert len(found.gained) == 20
    assert (found.worse, found.tried) == (None, 0)  # nobody could be asked


def test_a_slice_differs_only_beyond_luck_over_all_slices():
    found = compared(sure(wrong_at(*range(40, 52))), sure(TRUTH))
    assert found is not None
    told = {(each.column, each.value): each for each in found.slices}
    lawn, gate = told["group", "lawn"], told["group", "gate"]
    assert (lawn.photos, lawn.ours, lawn.theirs, lawn.verdict) == (40, 28 / 40, 1, "worse")
    assert (gate.difference, gate.verdict, gate.p_value) == (0, "", 1)
    assert found.slices[0] is lawn  # the worst first
    assert lawn.interval[1] < 0
    few = compared(sure(wrong_at(40, 41, 42, 43, 44, 45)), sure(TRUTH))
    assert few is not None
    assert {each.verdict for each in few.slices} == {""}  # p is 0.03 by itself, and there are several
    assert 0.03 < next(each.p_value for each in few.slices if each.value == "lawn") < 1


@pytest.mark.parametrize(("ours", "theirs", "verdict"), [(0.75, 0.99, "better"), (0.99, 0.75, "worse"), (0.9, 0.9, "")])
def test_confidence_is_compared_by_its_distance_from_accuracy(ours: float, theirs: float, verdict: str):
    answers = wrong_at(*range(0, 80, 4))  # three of four are right
    figure = figures(compared(sure(answers, ours), sure(answers, theirs)))["distance of confidence from accuracy"]
    assert (figure.ours, figure.theirs) == (
        pytest.approx(abs(ours - 0.75), abs=1e-6),
        pytest.approx(abs(theirs - 0.75), abs=1e-6),
    )
    assert figure.verdict == verdict
    low, high = figure.interval
    assert low <= figure.difference <= high


def test_a_model_beside_itself_differs_in_nothing():
    same = Knows(wrong_at(1, 2, 3))
    found = compared(sure(same.answers), sure(same.answers), model=same, other=same)
    assert {figure.difference for figure in figures(found).values()} == {0}
    assert {figure.verdict for figure in figures(found).values()} == {""}
    assert found is not None
    assert found.worse is not None
    assert found.worse.curves == found.worse.curves_theirs
    assert (found.lost, found.gained) == ((), ())


def test_what_worse_pictures_cost_is_compared_on_the_same_pictures():
    ours, theirs = Halves(), Halves(least=100)
    found = compared(sure(TRUTH), sure(TRUTH), model=ours, other=theirs)
    told = figures(found)["accuracy lost when pictures get worse"]
    assert told.ours < told.theirs
    assert told.verdict == "better"
    assert found is not None
    assert found.worse is not None
    assert set(found.worse.curves) == set(CORRUPTIONS)
    assert found.worse.curves_theirs["night"][4][0] == 0.5 < found.worse.curves["night"][4][0]
    assert (found.worse.clean, found.worse.clean_theirs, found.tried) == (1, 1, 40)
    assert figures(found)["keep their answer when moved or encoded again"].photos == 40


@settings(max_examples=examples(10))
@given(st.lists(st.tuples(*[st.integers(0, 1)] * 2, st.booleans()), min_size=80, max_size=80))
def test_exchanged_models_exchange_signs_and_photos_that_the_other_learned_from_change_nothing(
    rows: list[tuple[int, int, bool]],
):
    ours, theirs, unseen = (np.array(column) for column in zip(*rows, strict=True))
    found = compared(sure(ours), sure(theirs), unseen)
    if not unseen.any():
        assert found is None
        return
    assert found is not None
    back = compared(sure(theirs), sure(ours), unseen)
    assert back is not None
    for one, other in zip(found.figures, back.figures, strict=True):
        assert one.difference == pytest.approx(-other.difference)
        assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), abs=1e-9)
    assert [each.key for each in found.lost] == [each.key for each in back.gained]
    hidden = compared(sure(np.where(unseen, ours, 1 - ours)), sure(np.where(unseen, theirs, 0)), unseen)
    assert hidden == found


def test_nothing_is_made_worse_that_the_other_learned_from():
    model = Knows(TRUTH)
    unseen = np.ones(80, dtype=bool)
    unseen[TRIED[:30]] = False
    found = compared(sure(TRUTH), sure(TRUTH), unseen, model=model, other=Knows(wrong_at(*TRIED[:30])))
    assert found is not None
    assert found.worse is not None
    assert (found.tried, found.worse.clean_theirs) == (10, 1)
    none = compared(sure(TRUTH), sure(TRUTH), np.isin(np.arange(80), TRIED, invert=True), model=model, other=model)
    assert none is not None
    assert none.worse is None
