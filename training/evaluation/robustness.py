"""How a model's answers hold when pictures get worse, or move by a pixel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.evaluation.corruptions import CORRUPTIONS, SEVERITIES, Pixels, reencoded, shifted
from training.evaluation.metrics import Z95, Interval, wilson_interval

type Classes = npt.NDArray[np.int64]
type Answer = Callable[[Pixels], Classes]
"""Pixels [N, S, S, 3] to answered classes [N]."""

JPEG_QUALITIES: Final = (90, 75)
_STEPS: Final = ((1, 0), (-1, 0), (0, 1), (0, -1))


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """Accuracy on corrupted photos beside that on the same photos as they are."""

    photos: int
    clean: float
    clean_interval: Interval
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


def measure_robustness(answer: Answer, pixels: Pixels, truth: Classes, *, seed: int) -> Robustness:
    """Corrupt every photo in every way and severity; the interval of the drop is that of a mean of paired differences.

    Photos are corrupted as the model sees them. One photo keeps its seed over the severities, so that a curve shows
    the severity and not the luck of a streak's direction.
    """
    before = answer(pixels) == truth
    after: dict[str, npt.NDArray[np.bool_]] = {}
    for name, corrupt in CORRUPTIONS.items():
        worse = np.stack([corrupt(photo, level, seed + n) for level in SEVERITIES for n, photo in enumerate(pixels)])
        after[name] = (answer(worse) == np.tile(truth, len(SEVERITIES))).reshape(len(SEVERITIES), -1)
    lost = before - np.concatenate(list(after.values())).mean(axis=0)
    half = Z95 * float(lost.std(ddof=1)) / len(lost) ** 0.5 if len(lost) > 1 else 1.0
    return Robustness(
        photos=len(truth),
        clean=float(before.mean()),
        clean_interval=wilson_interval(int(before.sum()), len(truth)),
        curves={
            name: tuple((float(row.mean()), wilson_interval(int(row.sum()), len(row))) for row in right)
            for name, right in after.items()
        },
        drop=float(lost.mean()),
        drop_interval=(max(-1.0, float(lost.mean()) - half), min(1.0, float(lost.mean()) + half)),
    )


def measure_consistency(answer: Answer, pixels: Pixels) -> Consistency:
    """Move by one pixel in four directions and encode again; does the answer stay (Zhang, ICML 2019)?

    A pixel is one that the model sees: a bigger step than a camera's pixel, hence a stricter question.
    """
    before = answer(pixels)
    moved = [answer(shifted(pixels, down, right)) == before for down, right in _STEPS]
    again = [answer(np.stack([reencoded(photo, quality) for photo in pixels])) == before for quality in JPEG_QUALITIES]
    kept = np.all([*moved, *again], axis=0)
    return Consistency(
        photos=len(pixels),
        share=float(kept.mean()),
        interval=wilson_interval(int(kept.sum()), len(kept)),
        parts={
            "moved by one pixel, four ways": float(np.all(moved, axis=0).mean()),
            **{
                f"JPEG of quality {quality}": float(row.mean())
                for quality, row in zip(JPEG_QUALITIES, again, strict=True)
            },
        },
    )
