"""Whether the accuracy of labelled samples is unbiased, and its 95 % interval honest: `python benchmarks/labels.py`.

A week of 4,000 recorded answers of three cameras and two classes is made up, with a known chance to be right: as the
confidence says; better than it; 70 % at one camera, whatever the confidence (confidently wrong); 99.5 % everywhere.
Samples of 60, 150 and 400 photos are drawn and labelled, each with other answers, and compared with the true accuracy.
Reference: the weighted share with Wilson's interval for as many photos as the weights are worth (Hájek, Kish).
Promise: no bias beyond three standard errors, and 95 % of the intervals hold the truth, from 150 photos on.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.support.figures import Machine
from monitoring.late_labels.estimates import Accuracy, Counts, band, choose_sample, stratified_accuracy
from registry.intervals import wilson_interval

RECORDED = 4000
CAMERAS = 3
PROMISED_FROM = 150
HELD = 0.95


@dataclass(frozen=True, kw_only=True)
class Week:
    """Recorded predictions; every array has one value per prediction."""

    confidence: Any
    right: Any  # probability of a correct prediction
    stratum: Any  # number of its stratum

    @classmethod
    def made(cls, kind: str) -> "Week":
        """Make one up, the same each time."""
        rng = np.random.default_rng(7)
        confidence = 1 - 0.5 * rng.beta(0.6, 4, RECORDED)
        camera, label = rng.integers(0, CAMERAS, RECORDED), rng.integers(0, 2, RECORDED)
        right = {
            "as confident": confidence,
            "better": 1 - (1 - confidence) * 0.3,
            "confidently wrong": np.where(camera == 0, 0.7, confidence),
            "99.5 % right": np.full(RECORDED, 0.995),
        }[kind]
        keys = list(zip(camera.tolist(), label.tolist(), map(band, confidence.tolist()), strict=True))
        number = {key: place for place, key in enumerate(sorted(set(keys)))}
        return cls(confidence=confidence, right=right, stratum=np.array([number[key] for key in keys]))


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of many samples."""

    bias: float
    deviation: float
    held: float
    width: float
    reference_held: float
    reference_width: float
    trials: int

    @property
    def kept(self) -> bool:
        """Whether the promise holds within three standard errors of as many samples."""
        unbiased = abs(self.bias) <= 3 * self.deviation / self.trials**0.5
        return unbiased and self.held >= HELD - 3 * (HELD * (1 - HELD) / self.trials) ** 0.5


def main() -> None:
    """Measure and print; ends with 1 where the promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=400)
    trials: int = parser.parse_args().trials
    print(Machine.here())
    print(f"{trials} samples each\nanswers            photos  truth    bias   held  width   reference: held  width")
    kept = True
    for kind in ("as confident", "better", "confidently wrong", "99.5 % right"):
        week = Week.made(kind)
        for count in (60, 150, 400):
            found = measure(week, count, trials)
            promised = count < PROMISED_FROM or found.kept
            kept = kept and promised
            ours = f"{found.bias:+.4f}  {found.held:.3f}  {found.width:.3f}"
            reference = f"{found.reference_held:.3f}  {found.reference_width:.3f}"
            verdict = "" if promised else "  NOT KEPT"
            print(f"{kind:18} {count:6}  {week.right.mean():.3f}  {ours}              {reference}{verdict}", flush=True)
    sys.exit(not kept)


def measure(week: Week, count: int, trials: int) -> Result:
    """Draw and label samples of a week."""
    rng, truth = np.random.default_rng(count), float(week.right.mean())
    found: list[Accuracy] = []
    reference: list[tuple[float, float]] = []
    sizes = np.bincount(week.stratum)
    for trial in range(trials):
        right = rng.uniform(size=RECORDED) < week.right
        places = choose_sample(week.stratum.tolist(), week.confidence, count=count, seed=trial).indices
        drawn = np.bincount(week.stratum[places], minlength=len(sizes))
        held = np.bincount(week.stratum[places], weights=right[places], minlength=len(sizes)).astype(int)
        estimate = stratified_accuracy(
            [
                Counts(recorded=n, labelled=m, right=r)
                for n, m, r in zip(*map(_integers, (sizes, drawn, held)), strict=True)
            ]
        )
        assert estimate is not None
        found.append(estimate)
        weights = (sizes / drawn)[week.stratum[places]]
        worth = weights.sum() ** 2 / (weights**2).sum()
        reference.append(wilson_interval(float((weights * right[places]).sum() / weights.sum() * worth), float(worth)))
    errors = np.array([each.accuracy for each in found]) - truth
    return Result(
        bias=float(errors.mean()),
        deviation=float(errors.std()),
        held=_held([each.interval for each in found], truth),
        width=_width([each.interval for each in found]),
        reference_held=_held(reference, truth),
        reference_width=_width(reference),
        trials=trials,
    )


def _integers(numbers: Any) -> list[int]:
    return [int(each) for each in numbers]


def _held(intervals: Sequence[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def _width(intervals: Sequence[tuple[float, float]]) -> float:
    return float(np.mean([high - low for low, high in intervals]))


if __name__ == "__main__":
    main()
