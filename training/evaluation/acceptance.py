"""A published model on photos of your own: the same figures as its report's, and how they compare.

Pure: what the photos are and what was answered comes in, figures come out.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from registry.intervals import Interval, difference_interval, wilson_interval
from training.evaluation.figures.metrics import mean_interval

FEWEST: Final = 5
"""A group of fewer photos is counted, not listed."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One photo, what it shows, and what was answered. `groups` are columns and values."""

    key: str
    truth: str
    answer: str
    groups: Mapping[str, str]

    @property
    def right(self) -> bool:
        """Whether the answer is what it shows."""
        return self.answer == self.truth


@dataclass(frozen=True, kw_only=True)
class Share:
    """Photos that have something in common, and how many were answered right."""

    column: str  # empty: all; label: those of a class
    value: str
    photos: int
    right: int

    @property
    def share(self) -> float:
        """Of the photos that were answered right; 0 for none."""
        return self.right / self.photos if self.photos else 0.0

    @property
    def interval(self) -> Interval:
        """At 95 % (Wilson)."""
        return wilson_interval(self.right, self.photos)

    def facts(self) -> dict[str, object]:
        """For programs."""
        low, high = self.interval
        named = {"column": self.column, "value": self.value, "photos": self.photos, "right": self.right}
        return {**named, "accuracy": self.share, "low": low, "high": high}


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """How a model did on photos that were brought."""

    all: Share
    classes: tuple[Share, ...]  # those that occur
    groups: tuple[Share, ...]  # ascending by column; the worst of each first
    unlisted: Mapping[str, int]  # column -> groups of fewer than `FEWEST` photos
    wrong: tuple[Answered, ...]

    @property
    def balanced(self) -> tuple[float, Interval]:
        """Mean recall of the classes that occur, and its interval."""
        recalls = {each.value: (each.share, each.interval) for each in self.classes}
        return float(np.mean([share for share, _ in recalls.values()])), mean_interval(recalls)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A version's own test."""

    accuracy: float
    interval: Interval
    photos: int

    @classmethod
    def of(cls, metrics: Mapping[str, float]) -> "Claim | None":
        """From its metrics; None if they have none."""
        names = ("accuracy", "accuracy_low", "accuracy_high", "n")
        if not all(name in metrics for name in names):
            return None
        accuracy, low, high, photos = (metrics[name] for name in names)
        return cls(accuracy=accuracy, interval=(low, high), photos=round(photos))


def measure(answered: Sequence[Answered]) -> Acceptance:
    """Count; there must be a photo."""
    columns = sorted({column for photo in answered for column in photo.groups})
    groups: list[Share] = []
    unlisted: dict[str, int] = {}
    for column in columns:
        parts = _parts(
            column, [photo for photo in answered if column in photo.groups], lambda it, c=column: it.groups[c]
        )
        groups += sorted((part for part in parts if part.photos >= FEWEST), key=lambda it: (it.interval[1], it.value))
        if few := sum(part.photos < FEWEST for part in parts):
            unlisted[column] = few
    return Acceptance(
        all=Share(column="", value="all", photos=len(answered), right=sum(photo.right for photo in answered)),
        classes=tuple(_parts("label", answered, lambda it: it.truth)),
        groups=tuple(groups),
        unlisted=unlisted,
        wrong=tuple(photo for photo in answered if not photo.right),
    )


def _parts(column: str, answered: Sequence[Answered], value: Callable[[Answered], str]) -> list[Share]:
    parts: dict[str, list[bool]] = defaultdict(list)
    for photo in answered:
        parts[value(photo)].append(photo.right)
    return [
        Share(column=column, value=name, photos=len(those), right=sum(those)) for name, those in sorted(parts.items())
    ]


def claimed_minus_found(claim: Claim, found: Share) -> Interval:
    """Returns the 95 % interval of the claimed accuracy minus the one that was found (Newcombe, method 10)."""
    return difference_interval(round(claim.accuracy * claim.photos), claim.photos, found.right, found.photos)


def meaning(claim: Claim | None, found: Share) -> str:
    """Returns how the result compares with the version's own report."""
    summary = (
        "The interval in a version's report is that of its test split, drawn from the same photos as those that it "
        "was trained on. It is valid for photos like those, not for new breeds, cameras or places."
    )
    if claim is None:
        return summary
    low, high = claimed_minus_found(claim, found)
    if low > 0:
        return f"{summary} These photos are harder for it by {low * 100:.1f} to {high * 100:.1f} points: expect that."
    if high < 0:
        return f"{summary} These photos are easier for it by {-high * 100:.1f} to {-low * 100:.1f} points."
    return f"{summary} These photos do not differ from it beyond luck ({low * 100:+.1f} to {high * 100:+.1f} points)."
