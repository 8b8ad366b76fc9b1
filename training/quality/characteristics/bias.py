"""Whether the camera predicts the class: then a model may learn the place instead of the animal. Pure."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.manifest import Photo
from training.dataset.splits.split import camera_of

_NAMED: Final = 12


def camera_bias(photos: Sequence[Photo]) -> tuple[float, list[tuple[str, str, int, float]]]:
    """Cramér's V of camera and class, corrected for chance (Bergsma, J. Korean Statistical Society 42:3, 2013).

    0: the camera does not predict the class; 1: it predicts it completely. With it, the pairs that deviate most.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for photo in photos:
        if camera := camera_of(photo):
            counts[camera][photo.label] += 1
    cameras, labels = sorted(counts), sorted({label for each in counts.values() for label in each})
    if len(cameras) < 2 or len(labels) < 2:
        return 0.0, []
    table = np.array([[counts[camera][label] for label in labels] for camera in cameras], dtype=np.float64)
    value, residuals, expected = _cramer(table)
    order = np.argsort(-np.abs(residuals), axis=None)[:_NAMED]
    found = [(cameras[n // len(labels)], labels[n % len(labels)]) for n in map(int, order)]
    return value, [
        (camera, label, counts[camera][label], round(float(expected[cameras.index(camera), labels.index(label)]), 1))
        for camera, label in found
    ]


def _cramer(
    table: npt.NDArray[np.float64],
) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    total = table.sum()
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
    residuals = (table - expected) / np.sqrt(expected)
    rows, columns = table.shape
    phi = max(0.0, float((residuals**2).sum()) / total - (rows - 1) * (columns - 1) / (total - 1))
    rows_fair, columns_fair = rows - (rows - 1) ** 2 / (total - 1), columns - (columns - 1) ** 2 / (total - 1)
    least = min(rows_fair, columns_fair) - 1
    return (round(min(1.0, (phi / least) ** 0.5), 6) if least > 0 else 0.0), residuals, expected
