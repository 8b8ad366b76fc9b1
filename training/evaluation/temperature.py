"""One number that makes a model's confidence honest: its logits are divided by it (Guo et al., ICML 2017).

It is fitted on validation photos before the export, and the exported file has it inside, so that every probability that
anybody ever gets from a version is a calibrated one.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FEWEST_PHOTOS: Final = 50
"""Below, chance would choose the temperature."""

_COLDEST: Final = 0.05
_HOTTEST: Final = 20.0
_LUCK: Final = 0.05
_GOLDEN: Final = (5**0.5 - 1) / 2
_TINY: Final = 1e-30

type Numbers = npt.NDArray[np.float32]
type Classes = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """What a version's logits are divided by, and why by that."""

    value: float  # above 1 is humbler, below 1 surer; 1 leaves confidence as it was learned
    fitted: float  # of the least loss on validation photos
    photos: int  # of validation
    p_value: float  # that 1 is as good: likelihood ratio test (Wilks, 1938)
    kept_because: str = ""  # why it is 1, whatever was fitted; empty where the fitted one is used


def choose_temperature(logits: Numbers, truth: Classes) -> Temperature:
    """Fit a temperature on validation photos; 1 stays where they cannot tell another from it.

    That is so with few photos, where 1 is as good beyond luck, and where nearly all answers are right: then the loss
    falls for ever with the temperature, which says nothing of how sure to be of other photos.
    """
    fitted = fit_temperature(logits, truth)
    gain = 2 * len(truth) * (_loss(logits, truth, 1.0) - _loss(logits, truth, fitted))
    p_value = math.erfc(math.sqrt(max(0.0, gain) / 2))  # of chi-squared with one degree of freedom
    if len(truth) < FEWEST_PHOTOS:
        reason = f"{len(truth)} validation photos are too few to fit it; {FEWEST_PHOTOS} are needed"
    elif not 2 * _COLDEST < fitted < _HOTTEST / 2:
        reason = "no validation photo bounds it"
    elif p_value >= _LUCK:
        reason = f"validation photos cannot tell {fitted:.2f} from 1 (p = {p_value:.2g})"
    else:
        return Temperature(value=fitted, fitted=fitted, photos=len(truth), p_value=p_value)
    return Temperature(value=1.0, fitted=fitted, photos=len(truth), p_value=p_value, kept_because=reason)


def fit_temperature(logits: Numbers, truth: Classes) -> float:
    """Find the temperature of the least negative log-likelihood, by golden section over its logarithm (convex)."""
    low, high = math.log(_COLDEST), math.log(_HOTTEST)
    while high - low > 1e-4:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if _loss(logits, truth, math.exp(left)) <= _loss(logits, truth, math.exp(right)):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def at_temperature(logits: Numbers, temperature: float) -> Numbers:
    """Give probabilities [N, classes] of logits divided by `temperature`: the answer stays."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def logits_of(probabilities: Numbers) -> Numbers:
    """Give logits that lead to these probabilities; a constant added to all of a photo's does not matter."""
    return np.log(np.maximum(probabilities, _TINY))


def _loss(logits: Numbers, truth: Classes, temperature: float) -> float:
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    right = scaled[np.arange(len(truth)), truth]
    return float((np.log(np.exp(scaled).sum(axis=1)) - right).mean())
