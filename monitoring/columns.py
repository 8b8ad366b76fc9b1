"""Two-sample tests of numbers: p-values that are valid for any distribution, ties included."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

TENTH: Final = 0.1
"""Share of the pooled sample at its low end, and at its high end."""

_QUESTIONS: Final = 3  # of a column: the whole distribution, the low end, the high end

type Numbers = npt.NDArray[Any]


def ks_statistic(one: Numbers, other: Numbers) -> float:
    """Returns the largest difference between two empirical distribution functions, 0 to 1."""
    pooled = np.concatenate([one, other])
    first = np.searchsorted(np.sort(one), pooled, side="right") / len(one)
    second = np.searchsorted(np.sort(other), pooled, side="right") / len(other)
    return float(np.abs(first - second).max())


def ks_p_value(one: Numbers, other: Numbers) -> float:
    """Returns an upper bound of the two-sample Kolmogorov–Smirnov p-value.

    The bound of Dvoretzky, Kiefer & Wolfowitz, which holds for two samples within a few per cent of p, and exactly for
    large ones (Wei & Dudley, Statistics & Probability Letters 2012). Ties lower the true value further.
    """
    size = len(one) * len(other) / (len(one) + len(other))
    return min(1.0, 2 * math.exp(-2 * size * ks_statistic(one, other) ** 2))


def share_p_value(drawn: int, of: int, marked: int, among: int) -> float:
    """Returns the probability that `of` drawn out of `among`, of which `marked` are marked, have `drawn` or more.

    Hypergeometric (Fisher's exact test, one-sided), summed in logarithms.
    """
    most = min(of, marked)
    if drawn <= max(0, of + marked - among):
        return 1.0
    counts = np.arange(drawn, most + 1)
    if not len(counts):
        return 0.0
    logs = _log_choose(marked, counts) + _log_choose(among - marked, of - counts) - _log_choose(among, np.array([of]))
    peak = logs.max()
    return min(1.0, float(np.exp(peak) * np.exp(logs - peak).sum()))


def end_p_value(reference: Numbers, window: Numbers, *, high: bool) -> float:
    """Returns the probability that at least so many of the pooled tenth at one end are of the window.

    All values that equal the tenth's last one count. The number of those is a property of the pooled sample, so that
    the p-value is exact given the pooled sample, with ties or without.
    """
    pooled = np.concatenate([reference, window])
    rank = max(0, math.ceil(TENTH * len(pooled)) - 1)
    if high:
        limit = np.partition(pooled, len(pooled) - 1 - rank)[len(pooled) - 1 - rank]
        inside, drawn = pooled >= limit, window >= limit
    else:
        limit = np.partition(pooled, rank)[rank]
        inside, drawn = pooled <= limit, window <= limit
    return share_p_value(int(drawn.sum()), len(window), int(inside.sum()), len(pooled))


def column_p_value(reference: Numbers, window: Numbers) -> float:
    """Returns one p-value for a column: its whole distribution and its two ends (Bonferroni)."""
    found = (
        ks_p_value(reference, window),
        end_p_value(reference, window, high=False),
        end_p_value(reference, window, high=True),
    )
    return min(1.0, _QUESTIONS * min(found))


def smallest(p_values: Sequence[float]) -> float:
    """Returns one p-value for several tests, for any dependence (Bonferroni); 1 for none."""
    return min(1.0, len(p_values) * min(p_values)) if p_values else 1.0


_LOG_FACTORIALS: Final = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 4097)))])


def _log_choose(of: int, some: Numbers) -> Numbers:
    return _log_factorial(np.array([of])) - _log_factorial(some) - _log_factorial(of - some)


def _log_factorial(of: Numbers) -> Numbers:
    if of.max(initial=0) < len(_LOG_FACTORIALS):
        return _LOG_FACTORIALS[of]
    return np.array([math.lgamma(each + 1) for each in of.tolist()])
