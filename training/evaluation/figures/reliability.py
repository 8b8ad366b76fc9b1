"""How far confidence is from accuracy."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.intervals import Interval, wilson_interval

BINS: Final = 10

type Probabilities = npt.NDArray[np.float32]
type Classes = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Photos that were answered with about the same confidence."""

    low: float
    high: float
    photos: int
    confidence: float  # mean; 0 without photos
    accuracy: float  # share answered right; 0 without photos
    interval: Interval


def reliability(probabilities: Probabilities, truth: Classes) -> tuple[Bin, ...]:
    """Sort photos by the probability of their answer into bins of equal width."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    places = bin_of(confidence)
    bins: list[Bin] = []
    for place in range(BINS):
        inside = places == place
        count, hits = int(inside.sum()), int(right[inside].sum())
        bins.append(
            Bin(
                low=place / BINS,
                high=(place + 1) / BINS,
                photos=count,
                confidence=float(confidence[inside].mean()) if count else 0.0,
                accuracy=hits / count if count else 0.0,
                interval=wilson_interval(hits, count),
            )
        )
    return tuple(bins)


def bin_of(confidence: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """Returns the place of each confidence's bin."""
    return np.minimum((confidence * BINS).astype(np.intp), BINS - 1)


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Mean distance of confidence and accuracy, each bin by its photos (ECE: Guo et al., ICML 2017).

    On few photos it overstates (Roelofs et al., AISTATS 2022), so as a gate it errs on the safe side.
    """
    total = sum(each.photos for each in bins)
    return sum(each.photos * abs(each.confidence - each.accuracy) for each in bins) / total if total else 0.0
