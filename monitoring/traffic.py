"""Traffic test: whether a camera sends fewer photos than usual at these hours."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from monitoring.columns import smallest
from monitoring.levels import LEVELS

TRAILING_HOURS: Final = (1, 6, 24)
"""Tested lengths in hours: a busy camera is reported after an hour, a quiet one after a day."""

FEWEST_DAYS: Final = 7
MOST_DAYS: Final = 28
_DAY: Final = 24
_LOW: Final = -1.6448536269514722  # quantile 0.05 of the normal distribution

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Received and expected photos of the trailing hours that differ most."""

    p_value: float
    hours: int
    photos: int
    expected: float

    @property
    def missing(self) -> bool:
        """Whether photos are missing."""
        return self.p_value <= LEVELS["traffic"]

    @property
    def sentence(self) -> str:
        """For people."""
        when = "the last hour" if self.hours == 1 else f"the last {self.hours} hours"
        return f"{self.photos} photos in {when}; on earlier days there were {self.expected:.0f} at these hours"


def watch_traffic(hourly: Numbers) -> Traffic | None:
    """Returns the last hours of `hourly` (photos per hour, without gaps) compared with the same hours of earlier days.

    At most 28 earlier days; None with fewer than 7.
    """
    found: list[Traffic] = []
    for hours in TRAILING_HOURS:
        days = min(MOST_DAYS, (len(hourly) - hours) // _DAY)
        if days < FEWEST_DAYS:
            return None
        ends = len(hourly) - _DAY * np.arange(1, days + 1)
        past = np.array([hourly[end - hours : end].sum() for end in ends.tolist()])
        now = int(hourly[len(hourly) - hours :].sum())
        found.append(Traffic(p_value=low_p_value(past, now), hours=hours, photos=now, expected=float(past.mean())))
    worst = min(found, key=lambda each: each.p_value)
    return Traffic(
        p_value=smallest([each.p_value for each in found]),
        hours=worst.hours,
        photos=worst.photos,
        expected=worst.expected,
    )


def low_p_value(past: Numbers, now: int) -> float:
    """Returns the probability of a count of at most `now`, given counts of earlier days; 1 if it is not low.

    Negative binomial with the mean of `past` and an upper 95 % bound of its variance plus the mean's error: a few quiet
    days must not make every other day unusual.
    """
    days, mean = len(past), float(past.mean())
    if now >= mean:
        return 1.0
    freedom = days - 1
    # Wilson & Hilferty (PNAS 1931): the lower 5 % quantile of a chi-square, divided by its degrees of freedom
    quantile = (1 - 2 / (9 * freedom) + _LOW * math.sqrt(2 / (9 * freedom))) ** 3
    variance = float(past.var(ddof=1)) / quantile
    return _at_most(now, mean, max(variance, mean * 1.0001) * (1 + 1 / days))


def _at_most(count: int, mean: float, variance: float) -> float:
    """Distribution function of the negative binomial, by the ratio of neighbouring terms, in logarithms."""
    size = mean * mean / (variance - mean)
    share = mean / variance
    steps = np.arange(1, count + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((steps - 1 + size) / steps) + math.log1p(-share))])
    return min(1.0, float(np.exp(size * math.log(share) + logs).sum()))
