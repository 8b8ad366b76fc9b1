"""What answering fewer photos buys: errors over the share that is answered, and refused strangers over what is kept.

Risk–coverage curves: El-Yaniv & Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 2010.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.intervals import Interval, wilson_interval
from training.evaluation.figures.calibration import Classes
from training.networks.export import Numbers

_POINTS: Final = 40


@dataclass(frozen=True, kw_only=True)
class RiskPoint:
    """The errors among the surest answers."""

    answered: float  # share of photos
    wrong: float  # share of the answered ones
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """Errors over the share of photos that is answered by one class."""

    curve: tuple[RiskPoint, ...]  # the surest answers first; what is called neither comes last
    served: RiskPoint  # as the version abstains


def risk_coverage(
    probabilities: Numbers, truth: Classes, *, kept: npt.NDArray[np.bool_], single: npt.NDArray[np.bool_]
) -> RiskCoverage:
    """Order photos by confidence, those called neither last, and count errors of the most probable class."""
    right = probabilities.argmax(axis=1) == truth
    order = np.lexsort((-probabilities.max(axis=1), ~kept))
    wrong = np.cumsum(~right[order])
    counts = np.unique(np.linspace(1, len(order), min(_POINTS, len(order))).astype(int))
    return RiskCoverage(
        curve=tuple(_point(int(wrong[count - 1]), int(count), len(order)) for count in counts),
        served=_point(int((~right & single).sum()), int(single.sum()), len(order)),
    )


def refused_over_kept(
    strangeness: Numbers, others: Numbers, *, always: npt.NDArray[np.bool_], limit: float
) -> tuple[tuple[float, float], ...]:
    """Returns the share of `others` beyond each limit, over the share of photos within it; `always` are refused anyway.

    The version's own `limit` is one of them.
    """
    limits = np.unique(np.append(np.quantile(strangeness, np.linspace(0.5, 1, _POINTS + 1)), limit))
    return tuple((float((strangeness <= limit).mean()), float(((others > limit) | always).mean())) for limit in limits)


def _point(wrong: int, answered: int, of: int) -> RiskPoint:
    return RiskPoint(answered=answered / of, wrong=wrong / max(1, answered), interval=wilson_interval(wrong, answered))
