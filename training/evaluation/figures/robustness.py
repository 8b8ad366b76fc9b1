"""How robust a model's answers are when pictures get worse, or move by a pixel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.intervals import Interval, wilson_interval
from training.evaluation.figures.corruptions import CORRUPTIONS, SEVERITIES, Pixels, reencoded, shifted
from training.evaluation.figures.significance import mean_difference_interval

type Classes = npt.NDArray[np.int64]
type Answer = Callable[[Pixels], Classes]
"""Pixels [N, S, S, 3] to answered classes [N]."""

JPEG_QUALITIES: Final = (90, 75)
_STEPS: Final = ((1, 0), (-1, 0), (0, 1), (0, -1))


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """Accuracy on corrupted photos, and on the same photos as they are."""

    photos: int
    clean: float
    curves: Mapping[str, tuple[tuple[float, Interval], ...]]  # corruption -> severity 1 to 5
    drop: float  # accuracy lost, as the mean over all corruptions and severities
    drop_interval: Interval

    @property
    def weakest(self) -> str:
        """The corruption that costs most."""
        return min(self.curves, key=lambda name: sum(share for share, _ in self.curves[name]))


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Share of photos whose answer is the same whatever harmless is done to them."""

    photos: int
    share: float
    interval: Interval
    parts: Mapping[str, float]  # what was done -> share of photos that keep their answer


def stratified(truth: Classes, most: int) -> npt.NDArray[np.intp]:
    """Choose at most `most` places, classes as common as they are, spread evenly over each; ascending."""
    if len(truth) <= most:
        return np.arange(len(truth))
    by_class = np.argsort(truth, kind="stable")
    return np.sort(by_class[np.linspace(0, len(truth) - 1, most).round().astype(int)])


@dataclass(frozen=True, kw_only=True)
class CorruptedAnswers[T]:
    """What was answered [N, ...] of photos as they are and made worse."""

    clean: T
    worse: Mapping[str, tuple[T, ...]]  # corruption -> severity 1 to 5

    def map[S](self, change: Callable[[T], S]) -> "CorruptedAnswers[S]":
        """Change every answer."""
        worse = {name: tuple(change(each) for each in levels) for name, levels in self.worse.items()}
        return CorruptedAnswers(clean=change(self.clean), worse=worse)


def try_corruptions[T](answer: Callable[[Pixels], T], pixels: Pixels, *, seed: int) -> CorruptedAnswers[T]:
    """Corrupt every photo in every way and severity, at the size that the model sees.

    One photo keeps its seed over the severities, so that a curve shows the severity and not the luck of a streak's
    direction.
    """
    worse = {
        name: tuple(
            answer(np.stack([corrupt(photo, level, seed + n) for n, photo in enumerate(pixels)]))
            for level in SEVERITIES
        )
        for name, corrupt in CORRUPTIONS.items()
    }
    return CorruptedAnswers(clean=answer(pixels), worse=worse)


def lost(right: CorruptedAnswers[npt.NDArray[np.bool_]]) -> npt.NDArray[np.float64]:
    """Returns what corruptions cost each photo [N]: right as it is, minus the share of all that leave it right."""
    after = np.concatenate([np.stack(levels) for levels in right.worse.values()])
    return right.clean - after.mean(axis=0)


def measure_robustness(answers: CorruptedAnswers[Classes], truth: Classes) -> Robustness:
    """Compare with the truth; the interval of the drop is that of a mean of paired differences."""
    right = answers.map(lambda each: each == truth)
    cost = lost(right)
    return Robustness(
        photos=len(truth),
        clean=float(right.clean.mean()),
        curves=curves(right),
        drop=float(cost.mean()),
        drop_interval=mean_difference_interval(cost),
    )


def curves(right: CorruptedAnswers[npt.NDArray[np.bool_]]) -> dict[str, tuple[tuple[float, Interval], ...]]:
    """Returns the share that is right of each corruption, severity 1 to 5, with its interval."""
    return {
        name: tuple((float(row.mean()), wilson_interval(int(row.sum()), len(row))) for row in levels)
        for name, levels in right.worse.items()
    }


def measure_consistency(answer: Answer, pixels: Pixels) -> Consistency:
    """Move by one pixel in four directions and encode again; does the answer stay (Zhang, ICML 2019)?

    A pixel is one that the model sees: a bigger step than a camera's pixel, hence a stricter question.
    """
    parts = try_harmless(answer, pixels)
    kept = np.all(list(parts.values()), axis=0)
    return Consistency(
        photos=len(pixels),
        share=float(kept.mean()),
        interval=wilson_interval(int(kept.sum()), len(kept)),
        parts={name: float(row.mean()) for name, row in parts.items()},
    )


def try_harmless(answer: Answer, pixels: Pixels) -> dict[str, npt.NDArray[np.bool_]]:
    """Returns for what was done which photos [N] keep their answer."""
    before = answer(pixels)
    moved = [answer(shifted(pixels, down, right)) == before for down, right in _STEPS]
    again = {
        f"JPEG of quality {quality}": answer(np.stack([reencoded(photo, quality) for photo in pixels])) == before
        for quality in JPEG_QUALITIES
    }
    return {"moved by one pixel, four ways": np.all(moved, axis=0), **again}
