"""Calibrates when a version abstains, and measures it on photos and groups that calibration did not see."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.intervals import Interval, wilson_interval
from registry.versions.abstention import BACKGROUND, Abstention, answer_set
from registry.versions.decision import Decision, decide
from training.evaluation.figures.calibration import Classes
from training.evaluation.selective.unseen_groups import clustered_interval
from training.networks.export import Numbers

COVERAGE: Final = 0.95
"""Target: of 100 photos of the classes, so many answers contain the class."""


@dataclass(frozen=True, kw_only=True)
class NotCalibrated:
    """Why a version cannot abstain."""

    because: str


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of photos, with its 95 % interval."""

    value: float
    interval: Interval
    photos: int

    @classmethod
    def of(cls, hits: npt.NDArray[np.bool_], groups: Sequence[str | None] | None = None) -> "Share":
        """Count; where `groups` [N] are given, photos of one group vary together."""
        value = float(hits.mean())
        if groups is not None:
            names = [f"photo {n}" if group is None else f"group {group}" for n, group in enumerate(groups)]
            codes = np.unique(names, return_inverse=True)[1].astype(np.intp)
            if codes.max() > 0:
                return cls(value=value, interval=_within_wilson(hits, codes), photos=len(hits))
        return cls(value=value, interval=wilson_interval(int(hits.sum()), len(hits)), photos=len(hits))


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What abstention makes of photos of the classes."""

    holds: npt.NDArray[np.bool_]  # [N]: the answer contains the photo's class
    kept: npt.NDArray[np.bool_]  # [N]: it is not `neither`
    single: npt.NDArray[np.bool_]  # [N]: it is one class


def conformal_quantile(scores: npt.NDArray[np.floating], error: float) -> float:
    """Returns the least value that a new, exchangeable score is at most with probability 1 - `error` or more.

    The ceil((n + 1)(1 - error))-th smallest of n scores (Angelopoulos & Bates, 2021, section 1); infinite where that is
    more than n: too few scores for so small an error.
    """
    place = math.ceil((len(scores) + 1) * (1 - error) - 1e-9)
    return math.inf if place > len(scores) else float(np.sort(scores)[max(place, 1) - 1])


def calibrate(
    *,
    strangeness: Numbers,
    probabilities: Numbers,
    truth: Classes,
    labels: Sequence[str],
    decision: Decision | None = None,
    grouped_by: str = "",
    groups: int = 0,
    coverage: float = COVERAGE,
) -> Abstention | NotCalibrated:
    """Set the limits. `strangeness` [N] is of photos left out of its subspace, preferably with their groups;
    `probabilities` [M, classes] and `truth` [M] are of photos that the network did not learn from, likewise.

    Half of the error is for classes, one by one (Mondrian), so that it holds for the rarest as well. What answers by
    these thresholds do not use of it, `neither` may: otherwise coverage is above what was asked, and strange things
    pass for it.
    """
    error = 1 - coverage
    thresholds: dict[str, float] = {}
    for place, label in enumerate(labels):
        quantile = conformal_quantile(1 - probabilities[truth == place, place].astype(np.float64), error / 2)
        if not math.isfinite(quantile):
            needed = math.ceil(2 / error) - 1
            count = int((truth == place).sum())
            return NotCalibrated(because=f"{count} left-out photos of “{label}” are too few; {needed} are needed")
        thresholds[label] = max(0.0, 1 - quantile)
    record = Abstention(
        coverage=coverage, strangeness=1.0, thresholds=thresholds, grouped_by=grouped_by, groups=groups,
        photos=len(strangeness),
    )  # fmt: skip
    shown = np.flatnonzero(np.isin(truth, visitors(labels)))
    lacks = ~answer_all(
        record,
        strangeness=np.zeros(len(shown), np.float32),
        probabilities=probabilities[shown],
        truth=truth[shown],
        labels=labels,
        decision=decision,
    ).holds
    limit = conformal_quantile(strangeness, max(error / 2, error - float(lacks.mean())))
    if not math.isfinite(limit):
        return NotCalibrated(because=f"{len(strangeness)} photos are too few to calibrate strangeness")
    return Abstention(
        coverage=coverage,
        strangeness=min(1.0, limit),
        thresholds=thresholds,
        grouped_by=grouped_by,
        groups=groups,
        photos=len(strangeness),
    )


def answer_all(
    abstention: Abstention,
    *,
    strangeness: Numbers,
    probabilities: Numbers,
    truth: Classes,
    labels: Sequence[str],
    decision: Decision | None = None,
) -> Answered:
    """Returns what the answers to photos of the classes are, by the rule that serving follows."""
    answers: list[tuple[str, ...]] = [
        answer_set(scores, float(strange), labels, labels[decide(scores, labels, decision)], abstention)
        for scores, strange in zip(probabilities.tolist(), strangeness, strict=True)
    ]

    def tell(says: Callable[[tuple[str, ...], str], bool]) -> npt.NDArray[np.bool_]:
        told = [says(answer, labels[int(place)]) for answer, place in zip(answers, truth.tolist(), strict=True)]
        return np.array(told, dtype=np.bool_)

    return Answered(
        holds=tell(lambda answer, label: label in answer),
        kept=tell(lambda answer, _: bool(answer)),
        single=tell(lambda answer, _: len(answer) == 1),
    )


def visitors(labels: Sequence[str]) -> list[int]:
    """Returns the places of the classes that show a visitor."""
    return [place for place, label in enumerate(labels) if label not in BACKGROUND]


def _within_wilson(hits: npt.NDArray[np.bool_], codes: npt.NDArray[np.intp]) -> Interval:
    """Returns the interval over groups, no narrower than that over photos: of a few groups all may agree by luck."""
    low, high = clustered_interval(hits, codes)
    least, most = wilson_interval(int(hits.sum()), len(hits))
    return min(low, least), max(high, most)
