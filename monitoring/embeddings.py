"""Two-sample test of vectors: permutation MMD (Gretton et al., JMLR 2012), in bounded time."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

MOST_ROWS: Final = 300
"""Maximum number of each side; others are left out, evenly. The time grows with its square."""

MOST_PERMUTATIONS: Final = 9_999
_ENOUGH: Final = 20
"""Stop after this many permutations as extreme as the observed value (Besag & Clifford, Biometrika 1991)."""

_FIRST, _FURTHER = 100, 1000  # permutations per matrix product
_ROUNDING: Final = 1e-6  # tolerance of single-precision sums; values within it count as extreme

type Numbers = npt.NDArray[Any]


def square_distances(one: Numbers, other: Numbers) -> Numbers:
    """Returns the squared Euclidean distances [N, M] of rows."""
    lengths = (one * one).sum(axis=1)[:, None] + (other * other).sum(axis=1)[None, :]
    return np.maximum(lengths - 2 * (one @ other.T), 0)


def median_distance(rows: Numbers) -> float:
    """Returns the median squared distance between different rows, the usual width of the kernel; 1 if it is 0."""
    apart = square_distances(rows, rows)[np.triu_indices(len(rows), 1)]
    return float(np.median(apart)) if len(apart) and np.median(apart) > 0 else 1.0


def kernel_block(one: Numbers, other: Numbers, width: float) -> Numbers:
    """Returns exp(-d² / width) of rows of one with rows of the other, float32 [N, M]."""
    return np.exp(-square_distances(one, other) / width).astype(np.float32)


def mmd_squared(kernel: Numbers, first: int) -> float:
    """Returns the squared MMD between the first rows of a kernel matrix and the others: 0 or more, biased."""
    return float(_mmd(kernel, _signs(np.arange(len(kernel))[None, :] < first))[0])


def mmd_p_value(kernel: Numbers, first: int, rng: np.random.Generator) -> float:
    """Returns the p-value of the MMD between the first rows of a kernel matrix and the others.

    Exact: under the null hypothesis it is at most p with a probability of at most p. At least 1 / MOST_PERMUTATIONS.
    """
    seen = mmd_squared(kernel, first) - _ROUNDING
    extreme = drawn = 0
    while drawn < MOST_PERMUTATIONS:
        some = min(_FIRST if drawn < _FURTHER else _FURTHER, MOST_PERMUTATIONS - drawn)
        shuffled = rng.permuted(np.tile(np.arange(len(kernel)), (some, 1)), axis=1) < first
        for place, value in enumerate(_mmd(kernel, _signs(shuffled)).tolist(), start=1):
            extreme += value >= seen
            if extreme == _ENOUGH:
                return _ENOUGH / (drawn + place)
        drawn += some
    return (extreme + 1) / (MOST_PERMUTATIONS + 1)


def _signs(inside: Numbers) -> Numbers:
    """Returns the weights [N, B] by which a kernel matrix gives the MMD: 1/n for one side, -1/m for the other."""
    first = inside[0].sum()
    return np.where(inside, 1 / first, -1 / (inside.shape[1] - first)).astype(np.float32).T


def _mmd(kernel: Numbers, signs: Numbers) -> Numbers:
    return (signs * (kernel @ signs)).sum(axis=0, dtype=np.float64)
