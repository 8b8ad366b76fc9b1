"""How long one photo takes on this machine. For people to see, never a figure of the version: machines differ."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds for one photo at a time, pixels in, probabilities out."""

    calls: int
    p50: float
    p99: float


def measure_latency(
    classify: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
    pixels: npt.NDArray[np.uint8],
    *,
    calls: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Classify one photo after the other, `calls` times after a few to warm up."""
    spent: list[float] = []
    for number in range(calls + 5):
        photo = pixels[number % len(pixels)][None]
        started = clock()
        classify(photo)
        spent.append((clock() - started) * 1000)
    p50, p99 = np.quantile(spent[5:], (0.5, 0.99))
    return Latency(calls=calls, p50=float(p50), p99=float(p99))
