"""Which trial is best, and whether that may be luck: from what trials answered on the same validation photos."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from registry.encoding import Fields, canonical
from registry.intervals import Interval
from training.errors import SpecMalformed
from training.evaluation.figures.metrics import evaluate
from training.job import read_strictly

_EXCHANGES: Final = 10_000
_NUMBERS: Final = 2**20  # held at once
_RECALL: Final = "recall_"


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a trial answered on the validation photos, in the manifest's order; classes by their places in `labels`."""

    labels: tuple[str, ...]
    truth: tuple[int, ...]
    answered: tuple[int, ...]

    def to_json(self) -> bytes:
        """Write canonical JSON."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read canonical JSON, strictly; SpecMalformed."""

        def read(fields: Fields) -> Self:
            return cls(labels=fields.texts("labels"), truth=fields.counts("truth"), answered=fields.counts("answered"))

        return read_strictly("answers", data, read)

    def metrics(self) -> dict[str, float]:
        """Returns the figures by name; those that a study may choose by have bounds, `…_low` and `…_high`."""
        found = evaluate(np.array(self.truth), np.array(self.answered), self.labels)
        bounds = {f"{_RECALL}{figures.label}": figures.recall_interval for figures in found.classes}
        return found.metrics() | {
            f"{name}{end}": bound
            for name, interval in bounds.items()
            for end, bound in zip(("_low", "_high"), interval, strict=True)
        }


@dataclass(frozen=True, kw_only=True)
class Score:
    """A metric of a trial and its 95 % interval."""

    value: float
    interval: Interval

    @classmethod
    def of(cls, metrics: Mapping[str, float], metric: str) -> Self:
        """Take it from a trial's figures."""
        return cls(value=metrics[metric], interval=(metrics[f"{metric}_low"], metrics[f"{metric}_high"]))


def check_metric(metric: str, labels: Sequence[str]) -> None:
    """Refuse a metric that trials do not have, or have no interval of; SpecMalformed."""
    there = ("balanced_accuracy", "accuracy", *(f"{_RECALL}{label}" for label in labels))
    if metric not in there:
        raise SpecMalformed(f"cannot choose by {metric!r}; choose by one of: {', '.join(there)}")


def ranked(scores: Mapping[int, Score]) -> list[int]:
    """Returns the trials, the highest lower bound first; of equal ones the higher value, then the earlier trial."""
    return sorted(scores, key=lambda trial: (-scores[trial].interval[0], -scores[trial].value, trial))


def luck(one: Answers, other: Answers, metric: str) -> float:
    """Returns the two-sided p-value that two trials are equally good by `metric` (Fisher's randomisation test).

    Were they, each photo's answers might as well have come from the other trial. So they are exchanged at random, photo
    by photo, and the p-value is how often the metrics are then as far apart as they are. For accuracy that is McNemar's
    exact test, but for chance. Both must have answered the same photos.
    """
    truth = np.array(one.truth)
    gain = (np.array(one.answered) == truth).astype(float) - (np.array(other.answered) == truth)
    gain *= _weights(truth, one.labels, metric)
    gain = gain[gain != 0]
    if not len(gain):
        return 1.0
    source = np.random.default_rng(0)
    apart = abs(gain.sum()) - 1e-9  # sums differ by rounding
    at_once = max(1, _NUMBERS // len(gain))
    as_far = 0
    for start in range(0, _EXCHANGES, at_once):
        exchanged = source.integers(0, 2, (min(at_once, _EXCHANGES - start), len(gain)), dtype=np.int8)
        as_far += int((np.abs((2 * exchanged - 1) @ gain) >= apart).sum())
    return (as_far + 1) / (_EXCHANGES + 1)


def _weights(truth: npt.NDArray[np.int64], labels: Sequence[str], metric: str) -> npt.NDArray[np.float64]:
    """What a right answer adds to the metric, photo by photo, but for a factor."""
    if metric == "accuracy":
        return np.ones(len(truth))
    if metric.startswith(_RECALL):
        return (truth == labels.index(metric.removeprefix(_RECALL))).astype(float)
    return 1 / np.bincount(truth, minlength=len(labels))[truth]
