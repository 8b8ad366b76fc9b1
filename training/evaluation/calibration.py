"""What a model's confidence is worth, and from which probability on to act on it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.evaluation.metrics import Interval, wilson_interval

BINS: Final = 10
_COLDEST: Final = 0.05
_HOTTEST: Final = 20.0
_GOLDEN: Final = (5**0.5 - 1) / 2
_TINY: Final = 1e-12

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


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far confidence is from accuracy on test photos, and what the temperature found on others makes of it."""

    error: float  # expected calibration error
    bins: tuple[Bin, ...]
    temperature: float  # divides logits; fitted on validation photos
    error_at_temperature: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a wrong alarm and a missed photo cost, in any unit; their ratio alone decides."""

    false_positive: float = 1.0
    false_negative: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """From which probability on a photo should count as `label`, and what that costs on photos not used to find it."""

    label: str
    value: float
    costs: Costs
    cost: float  # a photo, on the test split
    cost_of_answers: float  # a photo, if the most probable class counts
    false_positives: int
    false_negatives: int


def calibrate(
    validation: Probabilities, validation_truth: Classes, test: Probabilities, test_truth: Classes
) -> Calibration:
    """Measure on test photos; fit the temperature on validation photos."""
    temperature = fit_temperature(validation, validation_truth)
    bins = reliability(test, test_truth)
    return Calibration(
        error=calibration_error(bins),
        bins=bins,
        temperature=temperature,
        error_at_temperature=calibration_error(reliability(at_temperature(test, temperature), test_truth)),
    )


def reliability(probabilities: Probabilities, truth: Classes) -> tuple[Bin, ...]:
    """Sort photos by the probability of their answer into bins of equal width."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
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


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Mean distance of confidence and accuracy, each bin by its photos (ECE: Guo et al., ICML 2017).

    On few photos it overstates (Roelofs et al., AISTATS 2022), so as a gate it errs on the safe side.
    """
    total = sum(each.photos for each in bins)
    return sum(each.photos * abs(each.confidence - each.accuracy) for each in bins) / total if total else 0.0


def at_temperature(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Divide logits by `temperature`: above 1 is humbler, below 1 surer; the answer stays."""
    logits = np.log(np.maximum(probabilities, _TINY)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def fit_temperature(probabilities: Probabilities, truth: Classes) -> float:
    """Find the temperature of the least negative log-likelihood, by golden section over its logarithm (convex)."""

    def loss(log_temperature: float) -> float:
        found = at_temperature(probabilities, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(found[np.arange(len(truth)), truth], _TINY)).mean())

    low, high = np.log(_COLDEST), np.log(_HOTTEST)
    while high - low > 1e-4:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def choose_threshold(
    validation: Probabilities,
    validation_truth: Classes,
    test: Probabilities,
    test_truth: Classes,
    *,
    place: int,
    label: str,
    costs: Costs,
) -> Threshold:
    """Find the threshold of least cost on validation photos for the class at `place`, and its cost on test photos."""
    value = cheapest(validation[:, place], validation_truth == place, costs)
    is_so = test_truth == place
    alarms, answers = test[:, place].astype(np.float64) >= value, test.argmax(axis=1) == place
    return Threshold(
        label=label,
        value=value,
        costs=costs,
        cost=_cost(alarms, is_so, costs),
        cost_of_answers=_cost(answers, is_so, costs),
        false_positives=int((alarms & ~is_so).sum()),
        false_negatives=int((~alarms & is_so).sum()),
    )


def cheapest(scores: Probabilities, is_so: npt.NDArray[np.bool_], costs: Costs) -> float:
    """Give the threshold of least total cost for "at least this is a yes"; of several, the one nearest to one half.

    Between two neighbouring scores every threshold costs the same, so it lies halfway, as far from both as can be.
    Just above 1 means never. Compare in float64: rounded to float32 it could fall onto a score.
    """
    exact = scores.astype(np.float64)
    known = np.unique(exact)
    candidates = np.concatenate([[0.0], (known[1:] + known[:-1]) / 2, [np.nextafter(1.0, 2.0)]])
    missed = np.searchsorted(np.sort(exact[is_so]), candidates, side="left")
    negatives = np.sort(exact[~is_so])
    alarms = len(negatives) - np.searchsorted(negatives, candidates, side="left")
    total = costs.false_negative * missed + costs.false_positive * alarms
    best = candidates[total == total.min()]
    return float(best[np.abs(best - 0.5).argmin()])


def _cost(alarms: npt.NDArray[np.bool_], is_so: npt.NDArray[np.bool_], costs: Costs) -> float:
    wrong, missed = (alarms & ~is_so).sum(), (~alarms & is_so).sum()
    return float((costs.false_positive * wrong + costs.false_negative * missed) / len(is_so))
