"""Classifier two-sample test: how well a classifier distinguishes a window's photos from the reference's.

Lopez-Paz & Oquab, ICLR 2017: the classifier is trained on one half of the photos and tested on the other, so its
p-value is that of a test of one column. The classifier is Fisher's discriminant with a ridge, which needs no iteration.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from monitoring.columns import end_p_value, ks_p_value, smallest

RIDGE: Final = 0.3
"""Share of the mean variance; chosen on generated photos from 0.03, 0.1, 0.3 and 1."""

STRANGE: Final = 0.99
"""Quantile of the reference photos' scores above which a photo is strange."""

_FEWEST: Final = 20  # photos of each side, half of them for training

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class ClassifierTest:
    """Result of the classifier test."""

    p_value: float
    scores: Numbers  # float64 [N], of the window's photos; high: unlike the reference
    limit: float  # score above which a photo is strange

    @property
    def strange(self) -> Numbers:
        """Returns the indices of strange photos in the window, the strangest first."""
        order = np.argsort(-self.scores, kind="stable")
        return order[self.scores[order] > self.limit]


def classifier_test(reference: Numbers, window: Numbers, rng: np.random.Generator) -> ClassifierTest:
    """Returns the test of rows [M, D] against rows [N, D]; p-value 1, nothing strange with fewer than 20 of either."""
    if min(len(reference), len(window)) < _FEWEST:
        return ClassifierTest(p_value=1.0, scores=np.zeros(len(window)), limit=np.inf)
    known, new = _halved(len(reference), rng), _halved(len(window), rng)
    usual, scores = np.empty(len(reference)), np.empty(len(window))
    p_values: list[float] = []
    for tested in (True, False):
        direction, middle = _discriminant(reference[known != tested], window[new != tested])
        usual[known == tested] = (reference[known == tested] - middle) @ direction
        scores[new == tested] = (window[new == tested] - middle) @ direction
        p_values.append(_p_value(usual[known == tested], scores[new == tested]))
    return ClassifierTest(p_value=smallest(p_values), scores=scores, limit=float(np.quantile(usual, STRANGE)))


def _p_value(reference: Numbers, window: Numbers) -> float:
    return smallest((ks_p_value(reference, window), end_p_value(reference, window, high=True)))


def _halved(count: int, rng: np.random.Generator) -> Numbers:
    return rng.permutation(count) < count // 2


def _discriminant(reference: Numbers, window: Numbers) -> tuple[Numbers, Numbers]:
    """Returns the direction in which the two differ most for their spread, and the point between them."""
    one, other = reference.mean(axis=0), window.mean(axis=0)
    rows = np.concatenate([reference - one, window - other])
    scale = rows.std(axis=0) + 1e-9
    spread = (rows / scale).T @ (rows / scale) / len(rows)
    direction = np.linalg.solve(spread + RIDGE * np.eye(len(spread)), (other - one) / scale) / scale
    return direction / (np.linalg.norm(direction * scale) + 1e-12), (one + other) / 2
