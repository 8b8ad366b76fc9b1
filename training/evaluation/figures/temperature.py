"""One number that makes a model's confidence honest: its logits are divided by it (Guo et al., ICML 2017).

It is fitted on validation photos before the export, and the exported file has it inside, so that every probability that
every probability of a version is calibrated.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.evaluation.figures.reliability import calibration_error, reliability

FEWEST_PHOTOS: Final = 50
"""Below, chance would choose the temperature."""

_COLDEST: Final = 0.05
_HOTTEST: Final = 20.0
_LUCK: Final = 0.05
_FOLDS: Final = 5
_RESAMPLES: Final = 1000
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
    p_value: float  # share of resamples of held-out photos in which 1 is as good (paired bootstrap: Efron, 1979)
    kept_because: str = ""  # why it is 1, whatever was fitted; empty where the fitted one is used


def choose_temperature(logits: Numbers, truth: Classes) -> Temperature:
    """Fit a temperature on validation photos; 1 stays unless photos that it was not fitted on show that it helps.

    Each fifth of the photos is answered at the temperature fitted on the others. Their log-loss must fall beyond
    luck, and their calibration error must not rise. 1 stays too with few photos, and where nearly all answers are
    right: then the loss falls forever with the temperature, which is meaningless for other photos.
    The same photos always yield the same temperature.
    """
    fitted = fit_temperature(logits, truth)
    held_out = _held_out(logits, truth)
    if len(truth) < FEWEST_PHOTOS:
        reason = f"{len(truth)} validation photos are too few to fit it; {FEWEST_PHOTOS} are needed"
    elif not 2 * _COLDEST < fitted < _HOTTEST / 2:
        reason = "no validation photo bounds it"
    elif held_out.p_value >= _LUCK:
        reason = f"held-out validation photos do not distinguish {fitted:.2f} from 1 (p = {held_out.p_value:.2g})"
    elif held_out.error > held_out.error_before:
        reason = (
            f"on held-out validation photos {fitted:.2f} puts confidence further from accuracy"
            f" ({held_out.error_before:.3f} to {held_out.error:.3f})"
        )
    else:
        return Temperature(value=fitted, fitted=fitted, photos=len(truth), p_value=held_out.p_value)
    return Temperature(value=1.0, fitted=fitted, photos=len(truth), p_value=held_out.p_value, kept_because=reason)


@dataclass(frozen=True, kw_only=True)
class _HeldOut:
    """What temperatures do to photos that they were not fitted on."""

    p_value: float
    error: float  # calibration error at them
    error_before: float


def _held_out(logits: Numbers, truth: Classes) -> _HeldOut:
    if len(truth) < FEWEST_PHOTOS:
        return _HeldOut(p_value=1.0, error=0.0, error_before=0.0)
    folds = np.arange(len(truth)) % _FOLDS
    cooled = logits.astype(np.float64)
    for fold in range(_FOLDS):
        cooled[folds == fold] /= fit_temperature(logits[folds != fold], truth[folds != fold])
    gains = _losses(logits, truth, 1.0) - _losses(cooled, truth, 1.0)
    draw = np.random.default_rng(0)
    means = [gains[draw.integers(len(gains), size=len(gains))].mean() for _ in range(_RESAMPLES)]
    return _HeldOut(
        p_value=float((np.array(means) <= 0).mean()),
        error=calibration_error(reliability(at_temperature(cooled, 1.0), truth)),
        error_before=calibration_error(reliability(at_temperature(logits, 1.0), truth)),
    )


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


def at_temperature(logits: npt.NDArray[np.floating], temperature: float) -> Numbers:
    """Returns probabilities [N, classes] of logits divided by `temperature`: the answer stays."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def logits_of(probabilities: Numbers) -> Numbers:
    """Returns logits that lead to these probabilities; a constant added to all of a photo's does not matter."""
    return np.log(np.maximum(probabilities, _TINY))


def _loss(logits: Numbers, truth: Classes, temperature: float) -> float:
    return float(_losses(logits, truth, temperature).mean())


def _losses(logits: npt.NDArray[np.floating], truth: Classes, temperature: float) -> npt.NDArray[np.float64]:
    """The negative log-likelihood of each photo."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(truth)), truth]
