"""Figures of merit with their uncertainty."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from registry.intervals import Interval, wilson_interval


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """How a model does on one class."""

    label: str
    photos: int
    precision: float  # of the photos called so, the share that is; 0 if none was
    recall: float  # of the photos that are so, the share called so
    recall_interval: Interval
    f1: float  # harmonic mean of precision and recall


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a model does on photos it never learned from. Intervals are at 95 %."""

    photos: int
    accuracy: float
    accuracy_interval: Interval
    balanced_accuracy: float  # mean recall: classes count alike, however many photos they have
    balanced_accuracy_interval: Interval
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]  # [true class][answered class]

    def metrics(self) -> dict[str, float]:
        """Returns the figures by name, as a version carries them."""
        return {
            "accuracy": self.accuracy,
            "accuracy_low": self.accuracy_interval[0],
            "accuracy_high": self.accuracy_interval[1],
            "balanced_accuracy": self.balanced_accuracy,
            "balanced_accuracy_low": self.balanced_accuracy_interval[0],
            "balanced_accuracy_high": self.balanced_accuracy_interval[1],
            "n": float(self.photos),
            **{f"precision_{figures.label}": figures.precision for figures in self.classes},
            **{f"recall_{figures.label}": figures.recall for figures in self.classes},
            **{f"f1_{figures.label}": figures.f1 for figures in self.classes},
        }


def evaluate(truth: npt.NDArray[np.int64], answers: npt.NDArray[np.int64], labels: Sequence[str]) -> Evaluation:
    """Compare answers with the truth, both as class indices; every class must occur in the truth."""
    confusion = np.zeros((len(labels), len(labels)), dtype=int)
    np.add.at(confusion, (truth, answers), 1)
    right, per_class, called = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    classes = tuple(
        ClassFigures(
            label=label,
            photos=int(per_class[place]),
            precision=float(right[place] / called[place]) if called[place] else 0.0,
            recall=float(right[place] / per_class[place]),
            recall_interval=wilson_interval(int(right[place]), int(per_class[place])),
            f1=float(2 * right[place] / (called[place] + per_class[place])),
        )
        for place, label in enumerate(labels)
    )
    return Evaluation(
        photos=len(truth),
        accuracy=float(right.sum() / len(truth)),
        accuracy_interval=wilson_interval(int(right.sum()), len(truth)),
        balanced_accuracy=float(np.mean([figures.recall for figures in classes])),
        balanced_accuracy_interval=mean_interval({f.label: (f.recall, f.recall_interval) for f in classes}),
        classes=classes,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def auroc(is_so: npt.NDArray[np.bool_], scores: npt.NDArray[np.float32]) -> float:
    """Returns the share of pairs of one photo that is so and one that is not in which the first has the higher score.

    Equal scores count half: the area under the ROC curve (Hanley & McNeil, Radiology 1982). Both must occur.
    """
    values, places = np.unique(scores, return_inverse=True)
    per_value = np.zeros((len(values), 2), dtype=np.int64)
    np.add.at(per_value, (places, is_so.astype(int)), 1)
    others, those = per_value[:, 0], per_value[:, 1]
    won = (those * (others.cumsum() - others)).sum() + (those * others).sum() / 2
    return float(won / (those.sum() * others.sum()))


def mean_interval(shares: Mapping[str, tuple[float, Interval]]) -> Interval:
    """Returns the interval of the mean of independent shares from the intervals of each (MOVER: Zou & Donner, 2008)."""
    mean = sum(share for share, _ in shares.values()) / len(shares)
    below = math.sqrt(sum((share - low) ** 2 for share, (low, _) in shares.values())) / len(shares)
    above = math.sqrt(sum((high - share) ** 2 for share, (_, high) in shares.values())) / len(shares)
    return (max(0.0, mean - below), min(1.0, mean + above))
