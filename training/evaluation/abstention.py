"""Calibrates when a version abstains, and says what came of it on photos and groups that calibration did not see."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.abstention import Abstention, answer_set
from registry.decision import Decision, decide
from training.strangeness import Numbers, fit_subspace

COVERAGE: Final = 0.95
"""Asked: of 100 photos of the classes, so many answers hold the class. Half of the rest may be called `neither`, half
may name another class."""

LEAST_GROUPS: Final = 5
_FOLDS: Final = 5

type Classes = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class NotCalibrated:
    """Why a version cannot abstain."""

    because: str


@dataclass(frozen=True, kw_only=True)
class Abstained:
    """What abstention does to photos of the classes."""

    asked: float  # coverage
    obtained: float  # share of answers that hold the photo's class
    kept: float  # share that is not called `neither`
    single: float  # share that names one class
    photos: int

    def metrics(self) -> dict[str, float]:
        """Give the figures by name, as a version carries them."""
        return {
            "abstention_coverage_asked": self.asked,
            "abstention_coverage": self.obtained,
            "abstention_kept": self.kept,
            "abstention_single": self.single,
        }


def conformal_quantile(scores: npt.NDArray[np.floating], error: float) -> float:
    """Give the least value that a new, exchangeable score is at most with probability 1 - `error` or more.

    The ceil((n + 1)(1 - error))-th smallest of n scores (Angelopoulos & Bates, 2021, section 1); infinite where that is
    more than n: too few scores for so small an error.
    """
    place = math.ceil((len(scores) + 1) * (1 - error) - 1e-9)
    return math.inf if place > len(scores) else float(np.sort(scores)[max(place, 1) - 1])


def left_out_strangeness(embedding: Numbers, groups: Sequence[str | None] | None) -> Numbers:
    """Give the strangeness of every photo by a subspace that saw no photo of its fold.

    A fold holds whole groups where `groups` are given, so that the scores are those of groups never seen; photos
    without a group are one of their own.
    """
    names = np.array([f"photo {n}" if g is None else g for n, g in enumerate(groups)]) if groups else None
    _, codes = np.unique(names, return_inverse=True) if names is not None else (None, np.arange(len(embedding)))
    folds = np.random.default_rng(0).permutation(int(codes.max()) + 1)[codes] % _FOLDS
    scores = np.zeros(len(embedding), dtype=np.float32)
    for fold in range(_FOLDS):
        inside = folds == fold
        if inside.any() and not inside.all():
            scores[inside] = fit_subspace(embedding[~inside]).strangeness(embedding[inside])
    return scores


def calibrate(
    *,
    strangeness: Numbers,
    probabilities: Numbers,
    truth: Classes,
    labels: Sequence[str],
    grouped_by: str = "",
    groups: int = 0,
    coverage: float = COVERAGE,
) -> Abstention | NotCalibrated:
    """Set the limits. `strangeness` [N] is of photos left out of its subspace, preferably with their groups;
    `probabilities` [M, classes] and `truth` [M] are of validation photos.

    Classes are calibrated one by one (Mondrian), so that the stated error holds for the rarest as well.
    """
    error = (1 - coverage) / 2
    limit = conformal_quantile(strangeness, error)
    thresholds: dict[str, float] = {}
    for place, label in enumerate(labels):
        quantile = conformal_quantile(1 - probabilities[truth == place, place].astype(np.float64), error)
        if not math.isfinite(quantile):
            needed = math.ceil(1 / error) - 1
            count = int((truth == place).sum())
            return NotCalibrated(because=f"{count} validation photos of “{label}” are too few; {needed} are needed")
        thresholds[label] = max(0.0, 1 - quantile)
    if not math.isfinite(limit):
        return NotCalibrated(because=f"{len(strangeness)} photos are too few to say what is strange")
    return Abstention(
        coverage=coverage,
        strangeness=min(1.0, limit),
        thresholds=thresholds,
        grouped_by=grouped_by,
        groups=groups,
        photos=len(strangeness),
    )


def measure(
    abstention: Abstention,
    *,
    strangeness: Numbers,
    probabilities: Numbers,
    truth: Classes,
    labels: Sequence[str],
    decision: Decision | None = None,
) -> Abstained:
    """Say what the answers to photos of the classes are."""
    answers: list[tuple[str, ...]] = [
        answer_set(scores, float(strange), labels, labels[decide(scores, labels, decision)], abstention)
        for scores, strange in zip(probabilities.tolist(), strangeness, strict=True)
    ]

    def share(says: Callable[[tuple[str, ...], str], bool]) -> float:
        told = [says(answer, labels[int(place)]) for answer, place in zip(answers, truth.tolist(), strict=True)]
        return float(np.mean(told)) if told else 0.0

    return Abstained(
        asked=abstention.coverage,
        obtained=share(lambda answer, label: label in answer),
        kept=share(lambda answer, _: bool(answer)),
        single=share(lambda answer, _: len(answer) == 1),
        photos=len(answers),
    )
