"""What a model's confidence is worth, and from which probability on to act on it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from registry.versions.decision import Decision
from training.evaluation.figures.reliability import Bin, calibration_error, reliability
from training.evaluation.figures.temperature import Temperature, at_temperature, logits_of
from training.plan import Costs

type Probabilities = npt.NDArray[np.float32]
type Classes = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far confidence is from accuracy on test photos, as served and as it was before the temperature."""

    error: float  # expected calibration error of what is served
    bins: tuple[Bin, ...]
    temperature: Temperature
    error_before: float
    bins_before: tuple[Bin, ...]


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

    @property
    def decision(self) -> Decision | None:
        """Returns the rule that a version answers by; None for equal costs, where the most probable class counts."""
        if not self.costs.differ:
            return None
        return Decision(
            positive=self.label,
            threshold=self.value,
            false_positive_cost=self.costs.false_positive,
            false_negative_cost=self.costs.false_negative,
        )


def calibrate(served: Probabilities, truth: Classes, temperature: Temperature) -> Calibration:
    """Measure on test photos what the file answers, and what it would answer without its temperature."""
    bins = reliability(served, truth)
    before = reliability(at_temperature(logits_of(served), 1 / temperature.value), truth)
    return Calibration(
        error=calibration_error(bins),
        bins=bins,
        temperature=temperature,
        error_before=calibration_error(before),
        bins_before=before,
    )


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
    """Returns the threshold of least total cost for "at least this is a yes"; of several, the one nearest to one half.

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
