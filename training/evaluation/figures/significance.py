"""Exact tests for small counts: could it be luck?"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from registry.intervals import Z95, Interval


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the two-sided exact p-value that two models are equally good on the same photos (McNemar, 1947).

    The counts are of photos that only the first, or only the second, got right; all others say nothing.
    """
    trials, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(trials, count) for count in range(fewer + 1))
    return min(1.0, 2 * tail / 2**trials)


def fisher(wrong: int, of: int, wrong_elsewhere: int, of_elsewhere: int) -> float:
    """Returns the one-sided exact p-value of at least so many errors here by chance (Fisher, 1935)."""
    errors, photos = wrong + wrong_elsewhere, of + of_elsewhere
    ways = sum(
        math.exp(_log_ways(errors, count) + _log_ways(photos - errors, of - count) - _log_ways(photos, of))
        for count in range(max(wrong, of - (photos - errors)), min(errors, of) + 1)
    )
    return min(1.0, ways)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values for their number, so that 5 % stays 5 % over all together (Holm, 1979); in their order."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = least
    return tuple(adjusted)


def paired_interval(ours: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_]) -> Interval:
    """Returns the 95 % interval of the difference of two shares on the same photos (Wald's, with half a photo added to
    each kind of disagreement: Agresti & Min, Statistics in Medicine 2005).
    """
    photos = len(ours)
    if not photos:
        return (-1.0, 1.0)
    first, second, count = (ours & ~theirs).sum() + 0.5, (theirs & ~ours).sum() + 0.5, photos + 2
    difference = (first - second) / count
    half = Z95 * math.sqrt(max(0.0, (first + second) / count - difference**2) / count)
    return float(max(-1.0, difference - half)), float(min(1.0, difference + half))


def mean_difference_interval(differences: npt.NDArray[np.floating]) -> Interval:
    """Returns the 95 % interval of the mean of differences, one a photo (normal); -1 to 1 for a single one."""
    if len(differences) < 2:
        return (-1.0, 1.0)
    mean = float(differences.mean())
    half = Z95 * float(differences.std(ddof=1)) / len(differences) ** 0.5
    return max(-1.0, mean - half), min(1.0, mean + half)


def _log_ways(of: int, chosen: int) -> float:
    """Logarithm of the binomial coefficient: exact integers of 100,000 photos would take minutes."""
    return math.lgamma(of + 1) - math.lgamma(chosen + 1) - math.lgamma(of - chosen + 1)
