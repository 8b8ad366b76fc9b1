"""Intervals of shares, for experiments and for evaluation: the only ones."""

import math
from typing import Final

type Interval = tuple[float, float]

Z95: Final = 1.959963984540054
"""Of intervals at 95 %."""


def wilson_interval(right: int, of: int, *, z: float = Z95) -> Interval:
    """Return the score interval of a share (Wilson, JASA 1927): sound for small counts and shares near 0 and 1."""
    if of == 0:
        return (0.0, 1.0)
    share = right / of
    middle = share + z * z / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    # Rounding must not leave a share of 0 or 1 outside.
    return (max(0.0, min(share, (middle - half) / scale)), min(1.0, max(share, (middle + half) / scale)))


def difference_interval(right: int, of: int, other_right: int, other_of: int, *, z: float = Z95) -> Interval:
    """Return the interval of the first share minus the second (Newcombe, Statistics in Medicine 1998, method 10)."""
    return recovered_difference(
        right / of, wilson_interval(right, of, z=z), other_right / other_of, wilson_interval(other_right, other_of, z=z)
    )


def recovered_difference(value: float, interval: Interval, other: float, others_interval: Interval) -> Interval:
    """Return the interval of the first value minus the second, which are independent, from those of both.

    The variance is recovered from the limits (Zou and Donner, Statistics in Medicine 2008, "MOVER").
    """
    (low, high), (other_low, other_high) = interval, others_interval
    difference = value - other
    return (
        difference - math.hypot(value - low, other_high - other),
        difference + math.hypot(high - value, other - other_low),
    )
