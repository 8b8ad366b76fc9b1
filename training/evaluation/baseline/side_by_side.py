"""A model's figures next to those of the version in prod, all on the same photos: those that it never learned from.

Both answer by the likeliest class, as in `comparison`: a threshold trades accuracy for cheaper errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.intervals import Interval
from training.dataset.manifest import Photo
from training.evaluation.baseline.comparison import Classify, Incumbent
from training.evaluation.figures.calibration import Probabilities
from training.evaluation.figures.reliability import BINS, Bin, bin_of, calibration_error, reliability
from training.evaluation.figures.robustness import CorruptedAnswers, curves, lost, try_corruptions, try_harmless
from training.evaluation.figures.significance import holm, mcnemar, mean_difference_interval, paired_interval
from training.evaluation.figures.slices import SIGNIFICANT, large_partitions
from training.networks.export import Pixels

_RESAMPLES: Final = 1000

type Classes = npt.NDArray[np.int64]
type Right = npt.NDArray[np.bool_]
type Curves = Mapping[str, tuple[tuple[float, Interval], ...]]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of both."""

    name: str
    photos: int
    ours: float
    theirs: float
    interval: Interval  # 95 %, of ours minus theirs
    more_is_better: bool = True

    @property
    def difference(self) -> float:
        """Ours minus theirs."""
        return self.ours - self.theirs

    @property
    def verdict(self) -> str:
        """`better` or `worse` where the interval excludes no difference; else empty."""
        low, high = self.interval
        if low <= 0 <= high:
            return ""
        return "better" if (low > 0) is self.more_is_better else "worse"


@dataclass(frozen=True, kw_only=True)
class SliceComparison:
    """Both on the photos that share a property."""

    column: str
    value: str
    photos: int
    ours: float
    theirs: float
    interval: Interval  # 95 %, of ours minus theirs
    p_value: float  # that both are equally good here (McNemar), adjusted for the number of slices (Holm)

    @property
    def difference(self) -> float:
        """Ours minus theirs."""
        return self.ours - self.theirs

    @property
    def verdict(self) -> str:
        """`better` or `worse` beyond luck, all slices together; else empty."""
        if self.p_value >= SIGNIFICANT:
            return ""
        return "better" if self.ours > self.theirs else "worse"


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A photo that only one of both gets right."""

    key: str
    truth: str
    ours: str
    theirs: str


@dataclass(frozen=True, kw_only=True)
class Worse:
    """Accuracy of both on the same photos as they are, and by corruption at severities 1 to 5, with intervals."""

    clean: float
    clean_theirs: float
    curves: Curves
    curves_theirs: Curves


@dataclass(frozen=True)
class Model:
    """The model that is tested, and its answers to the test photos."""

    classify: Classify
    labels: Sequence[str]
    probabilities: Probabilities


@dataclass(frozen=True, kw_only=True)
class RobustnessAnswers:
    """Which test photos were made worse, and what this model answered."""

    places: npt.NDArray[np.intp]
    pixels: Pixels  # of these, as they are
    answers: CorruptedAnswers[Probabilities]


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """All figures of both."""

    figures: tuple[Figure, ...]
    bins: tuple[Bin, ...]
    bins_theirs: tuple[Bin, ...]
    tried: int  # photos that were made worse
    worse: Worse | None  # what that did to both; None if none was made worse
    slices: tuple[SliceComparison, ...]  # the worst for this model first
    lost: tuple[Flip, ...]  # only the other is right
    gained: tuple[Flip, ...]  # only this one is right


def compare_figures(
    incumbent: Incumbent, model: Model, photos: Sequence[Photo], truth: Classes, tries: RobustnessAnswers, *, seed: int
) -> SideBySide | None:
    """Compare on all test photos that prod's version never learned from; None if none is left."""
    fair = np.flatnonzero(incumbent.unseen)
    if not len(fair):
        return None
    truth_here, ours, theirs = truth[fair], model.probabilities[fair], incumbent.probabilities[fair]
    right, right_theirs = ours.argmax(axis=1) == truth_here, theirs.argmax(axis=1) == truth_here
    figures = [_share("accuracy", right, right_theirs)]
    for place, label in enumerate(model.labels):
        if (those := truth_here == place).any():
            figures.append(_share(f"of “{label}” found", right[those], right_theirs[those]))
    figures.append(_calibration(ours, theirs, truth_here, seed))
    inside = np.flatnonzero(incumbent.unseen[tries.places])
    worse = None
    if incumbent.classify and len(inside):
        more, worse = _corrupted(incumbent.classify, incumbent.tried, model, truth, tries, inside, seed)
        figures += more
    shown = [photos[int(place)] for place in fair]
    return SideBySide(
        figures=tuple(figures),
        bins=reliability(ours, truth_here),
        bins_theirs=reliability(theirs, truth_here),
        tried=len(inside) if worse else 0,
        worse=worse,
        slices=_slices(shown, right, right_theirs),
        lost=_flips(shown, model.labels, ours, theirs, ~right & right_theirs),
        gained=_flips(shown, model.labels, ours, theirs, right & ~right_theirs),
    )


def _share(name: str, right: Right, theirs: Right) -> Figure:
    return Figure(
        name=name,
        photos=len(right),
        ours=float(right.mean()),
        theirs=float(theirs.mean()),
        interval=paired_interval(right, theirs),
    )


def _calibration(ours: Probabilities, theirs: Probabilities, truth: Classes, seed: int) -> Figure:
    """Paired bootstrap, turned over (Davison & Hinkley, 1997, 5.2): resampled errors are all too large alike."""
    found, other = (calibration_error(reliability(each, truth)) for each in (ours, theirs))
    draw = np.random.default_rng(seed)
    gaps = [_gaps(each, truth) for each in (ours, theirs)]
    differences = np.empty(_RESAMPLES)
    for turn in range(_RESAMPLES):
        drawn = draw.integers(len(truth), size=len(truth))
        first, second = (np.abs(gap[drawn].sum(axis=0)).sum() / len(truth) for gap in gaps)
        differences[turn] = first - second
    low, high = np.quantile(differences, [0.025, 0.975])
    difference = found - other
    return Figure(
        name="distance of confidence from accuracy",
        photos=len(truth),
        ours=found,
        theirs=other,
        interval=(max(-1.0, 2 * difference - float(high)), min(1.0, 2 * difference - float(low))),
        more_is_better=False,
    )


def _gaps(probabilities: Probabilities, truth: Classes) -> npt.NDArray[np.float64]:
    """Returns confidence minus being right of each photo [N, BINS], in the column of its bin."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    gaps = np.zeros((len(truth), BINS))
    gaps[np.arange(len(truth)), bin_of(confidence)] = confidence - (probabilities.argmax(axis=1) == truth)
    return gaps


def _corrupted(
    classify: Classify,
    pixels: Pixels,
    model: Model,
    truth: Classes,
    tries: RobustnessAnswers,
    inside: npt.NDArray[np.intp],
    seed: int,
) -> tuple[list[Figure], Worse]:
    """Classify the same corrupted photos with prod's version; `pixels` are at its input size.

    `inside` are places among the tried photos of those that it never learned from.
    """
    truth_here = truth[tries.places[inside]]

    def right_of(answers: Probabilities) -> Right:
        return answers[inside].argmax(axis=1) == truth_here

    # All that were tried are made worse again: each photo's draw follows from its place among them.
    theirs = try_corruptions(classify, pixels, seed=seed).map(right_of)
    ours = tries.answers.map(right_of)
    cost, cost_theirs = lost(ours), lost(theirs)
    figures = [
        Figure(
            name="accuracy lost when pictures get worse",
            photos=len(inside),
            ours=float(cost.mean()),
            theirs=float(cost_theirs.mean()),
            interval=mean_difference_interval(cost - cost_theirs),
            more_is_better=False,
        ),
        _share(
            "keep their answer when moved or encoded again",
            _kept(model.classify, tries.pixels[inside]),
            _kept(classify, pixels[inside]),
        ),
    ]
    worse = Worse(
        clean=float(ours.clean.mean()),
        clean_theirs=float(theirs.clean.mean()),
        curves=curves(ours),
        curves_theirs=curves(theirs),
    )
    return figures, worse


def _kept(classify: Classify, pixels: Pixels) -> Right:
    parts = try_harmless(lambda those: classify(those).argmax(axis=1), pixels)
    return np.all(list(parts.values()), axis=0)


def _slices(photos: Sequence[Photo], right: Right, theirs: Right) -> tuple[SliceComparison, ...]:
    parts = large_partitions(photos)
    alone = [
        mcnemar(int((right & ~theirs & inside).sum()), int((theirs & ~right & inside).sum())) for *_, inside in parts
    ]
    found = [
        SliceComparison(
            column=column,
            value=value,
            photos=int(inside.sum()),
            ours=float(right[inside].mean()),
            theirs=float(theirs[inside].mean()),
            interval=paired_interval(right[inside], theirs[inside]),
            p_value=p_value,
        )
        for (column, value, inside), p_value in zip(parts, holm(alone), strict=True)
    ]
    return tuple(sorted(found, key=lambda each: (each.interval[0], each.column, each.value)))


def _flips(
    photos: Sequence[Photo], labels: Sequence[str], ours: Probabilities, theirs: Probabilities, those: Right
) -> tuple[Flip, ...]:
    return tuple(
        Flip(
            key=photos[place].key,
            truth=photos[place].label,
            ours=labels[int(ours[place].argmax())],
            theirs=labels[int(theirs[place].argmax())],
        )
        for place in map(int, np.flatnonzero(those))
    )
