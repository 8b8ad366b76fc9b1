"""How much of the accuracy remains on groups that were never seen: another breed, another camera.

The network is not trained again for each group, which would cost a training each. What is learned again without the
group is a linear layer on the network's own embeddings.

- Where the job trained its convolutions, by ridge regression on the test photos. The network itself saw other photos of
  the group, so the figure is an upper limit of what a group that is really new gets.
- Where they were frozen, the linear layer is all that the job learned, and it is learned again in the same way, on the
  photos that it was trained on: nothing of the job has seen the group, and the figure is exact.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from registry.intervals import Z95, Interval, wilson_interval
from training.dataset.manifest import Photo
from training.dataset.splits.split import camera_of
from training.evaluation.figures.reliability import calibration_error, reliability
from training.evaluation.figures.temperature import at_temperature
from training.networks.export import Numbers
from training.networks.head import learn_head

LEAST_GROUPS: Final = 5
"""With fewer, one group's luck decides."""

LEAST_PHOTOS: Final = 3
"""Of a group. Leaving out a smaller group is hardly more than leaving out photos."""

_FOLDS: Final = 10
_RIDGE: Final = 10.0

MOST_PHOTOS: Final = 5000
"""More photos cost more and add nothing."""

type Classes = npt.NDArray[np.int64]
type _Answer = Callable[[Numbers], npt.NDArray[np.float64]]
type _Learn = Callable[[Numbers, Classes, int], _Answer]


@dataclass(frozen=True, kw_only=True)
class GroupAccuracy:
    """One group, when it was left out."""

    name: str
    photos: int
    right: int

    @property
    def accuracy(self) -> float:
        """Share of its photos that are answered right."""
        return self.right / self.photos


@dataclass(frozen=True, kw_only=True)
class UnseenGroups:
    """Accuracy of a linear layer with each group left out in turn, compared with photos left out at random."""

    column: str
    groups: int
    photos: int
    accuracy: float
    interval: Interval  # over groups: photos of one group are not independent
    usual: float
    usual_interval: Interval
    worst: str
    worst_accuracy: float
    seconds: float  # that it took here
    exact: bool = False  # no part of the model has seen the group
    balanced: float = 0.0  # accuracy, classes alike
    calibration_error: float | None = None  # of the confidence that is served, on groups that were left out
    table: tuple[GroupAccuracy, ...] = ()  # the worst first

    @property
    def cost(self) -> float:
        """Accuracy that is lost on groups that were left out."""
        return self.usual - self.accuracy


def measure_unseen_groups(
    photos: Sequence[Photo],
    embedding: Numbers,
    truth: Classes,
    *,
    penalty: float | None = None,
    temperature: float = 1.0,
) -> tuple[UnseenGroups, ...]:
    """Estimate for each column with at least `LEAST_GROUPS` groups; embeddings [N, D] and classes [N] of `photos`.

    `penalty` is that of the job's own linear layer on frozen embeddings, whose logits are divided by `temperature`;
    None: the embeddings were trained. Of more than `MOST_PHOTOS`, so many are taken, spread over all.
    """
    learn = _ridge if penalty is None else _logistic(penalty, temperature)
    chosen = _spread_over(truth)
    photos, embedding, truth = [photos[place] for place in chosen], embedding[chosen], truth[chosen]
    found: list[UnseenGroups] = []
    for column, values in grouping(photos).items():
        known = np.array([value is not None for value in values])
        names = np.array([value for value in values if value is not None])
        if estimate := _estimate(column, names, embedding[known], truth[known], learn, exact=penalty is not None):
            found.append(estimate)
    return tuple(found)


def columns(photos: Sequence[Photo]) -> Mapping[str, list[str | None]]:
    """Returns what groups photos: the camera, and the further columns of the index."""
    labels_of = [dict(photo.groups) for photo in photos]
    found = {name: [row.get(name) for row in labels_of] for name in sorted({name for row in labels_of for name in row})}
    return {"camera": [camera_of(photo) for photo in photos], **found}


def grouping(photos: Sequence[Photo]) -> Mapping[str, list[str | None]]:
    """Returns the columns that group photos: LEAST_GROUPS groups of at least LEAST_PHOTOS, with half of the photos.

    A column that names each photo apart, such as cameras of single photos, groups nothing: its groups left out are
    photos left out, and figures for "groups never seen" would be those of photos like the ones that were learned from.
    """
    found: dict[str, list[str | None]] = {}
    for name, values in columns(photos).items():
        counts = Counter(value for value in values if value is not None)
        enough = [count for count in counts.values() if count >= LEAST_PHOTOS]
        if len(enough) >= LEAST_GROUPS and 2 * sum(enough) >= len(photos):
            found[name] = values
    return found


def _spread_over(truth: Classes) -> npt.NDArray[np.intp]:
    """Places of photos, in order: all, or MOST_PHOTOS with classes as common as they are."""
    order = np.argsort(truth, kind="stable")
    return np.sort(order[np.linspace(0, len(order) - 1, min(MOST_PHOTOS, len(order))).astype(np.intp)])


def _estimate(
    column: str, names: npt.NDArray[np.str_], embedding: Numbers, truth: Classes, learn: _Learn, *, exact: bool
) -> UnseenGroups | None:
    began = time.perf_counter()
    groups, folds = np.unique(names, return_inverse=True)
    answers = _cross_validated(embedding, truth, folds, learn)
    answers_usual = _cross_validated(embedding, truth, _dealt(truth), learn)
    if answers is None or answers_usual is None:
        return None
    right, usual = answers.argmax(axis=1) == truth, answers_usual.argmax(axis=1) == truth
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
        exact=exact,
        balanced=float(np.mean([right[truth == place].mean() for place in np.unique(truth)])),
        calibration_error=calibration_error(reliability(at_temperature(answers, 1.0), truth)) if exact else None,
        table=tuple(
            sorted(
                (
                    GroupAccuracy(
                        name=str(name), photos=int((folds == fold).sum()), right=int(right[folds == fold].sum())
                    )
                    for fold, name in enumerate(groups)
                ),
                key=lambda group: (group.accuracy, group.name),
            )
        ),
    )


def _dealt(truth: Classes) -> npt.NDArray[np.intp]:
    """Folds with as many of each class."""
    folds = np.zeros(len(truth), dtype=np.intp)
    folds[np.argsort(truth, kind="stable")] = np.arange(len(truth)) % _FOLDS
    return folds


def _cross_validated(
    embedding: Numbers, truth: Classes, folds: npt.NDArray[np.intp], learn: _Learn
) -> npt.NDArray[np.float64] | None:
    """Returns probabilities [N, classes] by layers trained without the photo's fold; None if a class is missing."""
    classes = int(truth.max()) + 1
    answers = np.zeros((len(truth), classes))
    for fold in np.unique(folds):
        inside = folds == fold
        if len(np.unique(truth[~inside])) < len(np.unique(truth)):
            return None
        answers[inside] = learn(embedding[~inside], truth[~inside], classes)(embedding[inside])
    return answers


def _logistic(penalty: float, temperature: float) -> _Learn:
    """The job's own linear layer, in the same way."""

    def learn(embedding: Numbers, truth: Classes, classes: int) -> _Answer:
        head = learn_head(torch.from_numpy(embedding), torch.from_numpy(truth), classes, penalty=penalty)
        return lambda others: (head.logits(torch.from_numpy(others)) / temperature).numpy()

    return learn


def _ridge(embedding: Numbers, truth: Classes, classes: int) -> _Answer:
    """Ridge regression to one-hot classes, all classes alike in weight."""
    mean, scale = embedding.mean(axis=0, dtype=np.float64), embedding.std(axis=0, dtype=np.float64) + 1e-6
    rows = np.hstack([(embedding - mean) / scale, np.ones((len(embedding), 1))])
    counts = np.bincount(truth, minlength=classes)
    weights = (len(truth) / counts[truth] / np.count_nonzero(counts))[:, None]
    ridge = _RIDGE * np.eye(rows.shape[1])
    ridge[-1, -1] = 0
    layer = np.linalg.solve(rows.T @ (rows * weights) + ridge, rows.T @ (weights * np.eye(classes)[truth]))
    return lambda others: ((others - mean) / scale) @ layer[:-1] + layer[-1]


def clustered_interval(right: npt.NDArray[np.bool_], groups: npt.NDArray[np.intp]) -> Interval:
    """Returns the 95 % interval of the share that is right, photos of a group varying together (ratio estimator:
    Cochran, Sampling Techniques, 1977, 9A).
    """
    share, count = float(right.mean()), len(np.unique(groups))
    residues = np.bincount(groups, weights=right - share)
    deviation = np.sqrt(float((residues**2).sum()) * count / (count - 1)) / len(right)
    return max(0.0, share - Z95 * deviation), min(1.0, share + Z95 * deviation)
