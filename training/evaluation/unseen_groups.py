"""How much of the accuracy holds for groups that were never seen: another breed, another camera.

The network is not trained again for each group, which would cost a training each. What is learned again without the
group is a linear layer on the network's own embeddings of the test photos (ridge regression to the classes). The
network itself saw other photos of the group, so the figure is an upper limit of what a group that is really new gets.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.manifest import Photo
from training.dataset.split import camera_of
from training.evaluation.metrics import Z95, Interval, wilson_interval
from training.export import Numbers

LEAST_GROUPS: Final = 5
"""With fewer, one group's luck decides."""

_FOLDS: Final = 10
_RIDGE: Final = 10.0

type Classes = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class UnseenGroups:
    """Accuracy of a linear layer with each group left out in turn, beside that with photos left out at random."""

    column: str
    groups: int
    photos: int
    accuracy: float
    interval: Interval  # over groups: photos of one group are no independent witnesses
    usual: float
    usual_interval: Interval
    worst: str
    worst_accuracy: float
    seconds: float  # that it took here

    @property
    def cost(self) -> float:
        """Accuracy that is lost on groups that were left out."""
        return self.usual - self.accuracy


def measure_unseen_groups(photos: Sequence[Photo], embedding: Numbers, truth: Classes) -> tuple[UnseenGroups, ...]:
    """Estimate for each column with at least `LEAST_GROUPS` groups; embeddings [N, D] and classes [N] of `photos`."""
    found: list[UnseenGroups] = []
    for column, values in columns(photos).items():
        known = np.array([value is not None for value in values])
        names = np.array([value for value in values if value is not None])
        if len(np.unique(names)) < LEAST_GROUPS:
            continue
        if estimate := _estimate(column, names, embedding[known], truth[known]):
            found.append(estimate)
    return tuple(found)


def columns(photos: Sequence[Photo]) -> Mapping[str, list[str | None]]:
    """Give what groups photos: the camera, and the further columns of the index."""
    told = [dict(photo.groups) for photo in photos]
    found = {name: [row.get(name) for row in told] for name in sorted({name for row in told for name in row})}
    return {"camera": [camera_of(photo) for photo in photos], **found}


def _estimate(column: str, names: npt.NDArray[np.str_], embedding: Numbers, truth: Classes) -> UnseenGroups | None:
    began = time.perf_counter()
    groups, folds = np.unique(names, return_inverse=True)
    right = _cross_validated(embedding, truth, folds)
    usual = _cross_validated(embedding, truth, _dealt(truth))
    if right is None or usual is None:
        return None
    shares = [float(right[folds == fold].mean()) for fold in range(len(groups))]
    worst = int(np.argmin(shares))
    return UnseenGroups(
        column=column,
        groups=len(groups),
        photos=len(truth),
        accuracy=float(right.mean()),
        interval=clustered_interval(right, folds),
        usual=float(usual.mean()),
        usual_interval=wilson_interval(int(usual.sum()), len(usual)),
        worst=str(groups[worst]),
        worst_accuracy=shares[worst],
        seconds=round(time.perf_counter() - began, 3),
    )


def _dealt(truth: Classes) -> npt.NDArray[np.intp]:
    """Folds with as many of each class."""
    folds = np.zeros(len(truth), dtype=np.intp)
    folds[np.argsort(truth, kind="stable")] = np.arange(len(truth)) % _FOLDS
    return folds


def _cross_validated(embedding: Numbers, truth: Classes, folds: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_] | None:
    """Whether each photo is answered right by a layer that saw no photo of its fold; None if a class is lacking."""
    classes = int(truth.max()) + 1
    right = np.zeros(len(truth), dtype=bool)
    for fold in np.unique(folds):
        inside = folds == fold
        if len(np.unique(truth[~inside])) < len(np.unique(truth)):
            return None
        weights, mean, scale = _learn(embedding[~inside], truth[~inside], classes)
        right[inside] = (((embedding[inside] - mean) / scale) @ weights[:-1] + weights[-1]).argmax(axis=1) == truth[
            inside
        ]
    return right


def _learn(
    embedding: Numbers, truth: Classes, classes: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Ridge regression to one-hot classes, all classes alike in weight."""
    mean, scale = embedding.mean(axis=0, dtype=np.float64), embedding.std(axis=0, dtype=np.float64) + 1e-6
    rows = np.hstack([(embedding - mean) / scale, np.ones((len(embedding), 1))])
    counts = np.bincount(truth, minlength=classes)
    weights = (len(truth) / counts[truth] / np.count_nonzero(counts))[:, None]
    ridge = _RIDGE * np.eye(rows.shape[1])
    ridge[-1, -1] = 0
    return np.linalg.solve(rows.T @ (rows * weights) + ridge, rows.T @ (weights * np.eye(classes)[truth])), mean, scale


def clustered_interval(right: npt.NDArray[np.bool_], groups: npt.NDArray[np.intp]) -> Interval:
    """Give the 95 % interval of the share that is right, photos of a group varying together (ratio estimator:
    Cochran, Sampling Techniques, 1977, 9A).
    """
    share, count = float(right.mean()), len(np.unique(groups))
    residues = np.bincount(groups, weights=right - share)
    deviation = np.sqrt(float((residues**2).sum()) * count / (count - 1)) / len(right)
    return max(0.0, share - Z95 * deviation), min(1.0, share + Z95 * deviation)
