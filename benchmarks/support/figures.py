"""Figures as a benchmark states them: the machine, medians with their spread, percentiles."""

import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Self


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the figures were taken on."""

    processor: str
    cores: int
    memory_gb: float
    load: float  # runnable processes, mean of the minute before: other processes' load

    @classmethod
    def here(cls) -> Self:
        """The machine that this runs on, now. Linux."""
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        return cls(
            processor=names[0].partition(":")[2].strip() if names else "unknown processor",
            cores=len(os.sched_getaffinity(0)),
            memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
            load=os.getloadavg()[0],
        )

    def __str__(self) -> str:
        return f"{self.cores} cores of {self.processor}, {self.memory_gb:.0f} GiB, load before {self.load:.1f}"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Repeated measurements of one thing."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """At least one value."""
        return cls(median=statistics.median(values), low=min(values), high=max(values), n=len(values))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Many measurements of one thing, in milliseconds."""

    p50_ms: float
    p99_ms: float
    n: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        """At least two values."""
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        return cls(p50_ms=cuts[49] * 1000, p99_ms=cuts[98] * 1000, n=len(seconds))


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ratio of alternating measurements, so that other load affects both."""
    return Spread.of(ratios(ours, theirs))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ratio of each measurement to that which was taken next to it."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns the median with an interval that holds the true one in 95 of 100 cases, whatever the distribution.

    Order statistics: the true median lies above or below each value like heads and tails. Fewer than 6 values hold none
    with that certainty, so the interval is without end.
    """
    ordered, n = sorted(values), len(values)
    outside = max(
        (k for k in range(n // 2) if 2 * sum(math.comb(n, i) for i in range(k + 1)) <= 0.05 * 2**n), default=-1
    )
    if outside < 0:
        return statistics.median(values), -math.inf, math.inf
    return statistics.median(values), ordered[outside], ordered[n - 1 - outside]


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A bound on the median of ratios that were measured in alternation, round by round."""

    name: str
    median: float
    low: float
    high: float
    most: float

    @classmethod
    def of(cls, name: str, values: Sequence[float], *, most: float) -> Self:
        """At least one value; fewer than six conclude nothing."""
        median, low, high = median_interval(values)
        return cls(name=name, median=median, low=low, high=high, most=most)

    @property
    def kept(self) -> bool | None:
        """None if the interval contains the bound: the machine was too noisy to tell."""
        if self.high <= self.most:
            return True
        return False if self.low > self.most else None

    def __str__(self) -> str:
        verdict = {True: "kept", False: "NOT KEPT", None: "NOTHING CONCLUDED, too noisy"}[self.kept]
        return f"{verdict}: {self.name} (median ratio {self.median:.2f}, 95 % {self.low:.2f} to {self.high:.2f})"


_BLOCKS = 10
_STUDENT_95 = 2.306
"""Quantile 0.975 of Student's t with 8 degrees of freedom: ten blocks less the two numbers of a line."""


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How a measurement grows, per unit of its time, with a 95 % interval."""

    LEAST: ClassVar = 2 * _BLOCKS
    slope: float
    low: float
    high: float

    @classmethod
    def of(cls, times: Sequence[float], values: Sequence[float]) -> Self:
        """Least squares through the medians of ten blocks, for neighbouring samples of memory say the same thing twice.

        At least `LEAST` values, in the order of their times.
        """
        if len(times) < cls.LEAST:
            raise ValueError(f"{len(times)} values; a trend takes {cls.LEAST}")
        cuts = [len(times) * block // _BLOCKS for block in range(_BLOCKS + 1)]
        blocks = [slice(begin, end) for begin, end in pairwise(cuts)]
        x = [statistics.median(times[block]) for block in blocks]
        y = [statistics.median(values[block]) for block in blocks]
        line = statistics.linear_regression(x, y)
        left = sum((value - line.slope * time - line.intercept) ** 2 for time, value in zip(x, y, strict=True))
        middle = statistics.mean(x)
        wide = _STUDENT_95 * math.sqrt(left / (_BLOCKS - 2) / sum((time - middle) ** 2 for time in x))
        return cls(slope=line.slope, low=line.slope - wide, high=line.slope + wide)

    def __str__(self) -> str:
        return f"{self.slope:+.2f} ({self.low:+.2f} to {self.high:+.2f})"
