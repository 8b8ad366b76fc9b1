"""Intervals of shares, for experiments and for evaluation: the only ones."""

import math
from collections.abc import Callable
from typing import Final

type Interval = tuple[float, float]

_STEPS: Final = 40
"""Halvings of a bisection, to 10^-12."""

Z95: Final = 1.959963984540054
"""Of intervals at 95 %."""


def wilson_interval(right: float, of: float, *, z: float = Z95) -> Interval:
    """Return the score interval of a share (Wilson, JASA 1927): sound for small counts and shares near 0 and 1."""
    if of == 0:
        return (0.0, 1.0)
    share = right / of
    middle = share + z * z / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    # Rounding must not leave a share of 0 or 1 outside.
    return (max(0.0, min(share, (middle - half) / scale)), min(1.0, max(share, (middle + half) / scale)))


def share_sequence(right: int, of: int, *, alpha: float) -> Interval:
    """Return the interval of a share that holds at all times at once: with probability 1 - `alpha`, none of the
    intervals after 1, 2, 3, … observations misses it. So it may be looked at as often as one likes.

    The uniform mixture of likelihood ratios is a martingale under the true share (Robbins, Annals of Mathematical
    Statistics 1970; Ville's inequality): the interval has all shares at which it is below 1 / `alpha`.
    """
    if of == 0:
        return (0.0, 1.0)
    mixture = math.lgamma(right + 1) + math.lgamma(of - right + 1) - math.lgamma(of + 2)
    limit = mixture + math.log(alpha)  # the log-likelihood of a share in the interval is above it
    share = right / of

    def inside(p: float) -> bool:
        wrong = of - right
        ones = right * math.log(p) if right else 0.0
        return ones + (wrong * math.log1p(-p) if wrong else 0.0) > limit

    return (_edge(0.0, share, inside) if right else 0.0, _edge(1.0, share, inside) if right < of else 1.0)


def _edge(outside: float, within: float, inside: Callable[[float], bool]) -> float:
    """Where `inside` begins between a share that is outside, or 0 or 1, and one that is inside."""
    for _ in range(_STEPS):
        middle = (outside + within) / 2
        if middle in {0.0, 1.0}:
            break
        outside, within = (outside, middle) if inside(middle) else (middle, within)
    return outside


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
