"""The texture of pictures, whatever they show: it distinguishes stripes, noise, a dead sensor or text from photos.

Networks that learned cats and dogs from scratch see a cat or a dog in a test card too; so what is no photo at all is
looked for in the pixels: anomalies in a few statistics, by Mahalanobis distance to the bulk, found by concentration
steps as in FAST-MCD (Rousseeuw & Van Driessen, 1999). Pure.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

type Numbers = npt.NDArray[np.float32]

_SCALES: Final = (1, 2, 4)
"""Pixels whose mean is one; edges and noise differ in how they fade with it."""
_BULK: Final = 0.8
"""Share of photos, the most usual ones, that define what is usual, so that outliers do not."""
_STEPS: Final = 4
LEAST: Final = 100
"""With fewer photos the bulk is estimated badly; `oddness` can be computed, but is unreliable."""
_ROWS: Final = 1024


def oddness(found: Numbers) -> Numbers:
    """Distance [N] of each photo's `statistics` from those of most photos, in standard deviations."""
    away = np.abs(found - np.median(found, axis=0))
    distances = (away / np.maximum(np.median(away, axis=0), 1e-3)).max(axis=1)  # each separately, to begin with
    for _ in range(_STEPS):
        distances = _distances(found, found[distances <= np.quantile(distances, _BULK)])
    return distances.astype(np.float32)


def _distances(points: Numbers, usual: Numbers) -> Numbers:
    centre = np.median(usual, axis=0)
    spread = np.cov(usual - centre, rowvar=False) + 1e-6 * np.eye(usual.shape[1])
    whitened = np.linalg.solve(np.linalg.cholesky(spread), (points - centre).T)
    return np.linalg.norm(whitened, axis=0).astype(np.float32)


def statistics(pixels: npt.NDArray[np.uint8]) -> Numbers:
    """Returns seven numbers for each of photos [N, S, S, 3]: logarithms of contrast, and of the mean change between
    neighbours, across and down, at several scales.
    """
    return np.concatenate([_of_some(pixels[start : start + _ROWS]) for start in range(0, len(pixels), _ROWS)])


def _of_some(pixels: npt.NDArray[np.uint8]) -> Numbers:
    grey = pixels.astype(np.float32).mean(axis=3) / 255
    columns = [np.log(grey.std(axis=(1, 2)) + 1e-2)]
    for scale in _SCALES:
        side = grey.shape[1] // scale
        cut = grey[:, : side * scale, : side * scale]
        small = cut.reshape(len(cut), side, scale, side, scale).mean(axis=(2, 4))
        for axis in (1, 2):
            columns.append(np.log(np.abs(np.diff(small, axis=axis)).mean(axis=(1, 2)) + 1e-3))
    return np.stack(columns, axis=1).astype(np.float32)
