"""What a dataset is worth: its counts and measures, and the reasons to refuse it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Final

from training.dataset.manifest import Manifest, Split
from training.dataset.splits.split import camera_of
from training.errors import DatasetRefused

MIN_PHOTOS_PER_CLASS: Final = 6
"""One to test with, one to choose by, four to learn from. So few show that it works, not how well: see transfer.md."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Lowest tenth, middle and highest tenth of a measure."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Quality:
    """A dataset in numbers."""

    photos: int
    counts: dict[str, dict[str, int]]  # label -> split -> photos
    brightness: Spread
    sharpness: Spread
    skipped: tuple[tuple[str, str], ...]


def assess(manifest: Manifest, skipped: Sequence[tuple[str, str]]) -> Quality:
    """Count and measure a dataset of at least two photos."""
    return Quality(
        photos=len(manifest.photos),
        counts=manifest.counts(),
        brightness=_spread([photo.brightness for photo in manifest.photos]),
        sharpness=_spread([photo.sharpness for photo in manifest.photos]),
        skipped=tuple(skipped),
    )


def refuse_unfit(manifest: Manifest, skipped: Sequence[tuple[str, str]] = ()) -> None:
    """Raise DatasetRefused, saying what to do, when no model can be trained and tested on this dataset."""
    counts = manifest.counts()
    if not counts:
        raise DatasetRefused(
            f"no photos found{_because(skipped)}; give a folder with one subfolder of photos per class"
        )
    if len(counts) == 1:
        raise DatasetRefused(f"only one class, {next(iter(counts))!r}; add a second subfolder of photos")
    alike = [label for label, times in Counter(label.casefold() for label in counts).items() if times > 1]
    if alike:
        raise DatasetRefused(f"class folders that differ only by case: {alike[0]!r}; rename one, or join them")
    for label, per_split in counts.items():
        have = sum(per_split.values())
        if have < MIN_PHOTOS_PER_CLASS:
            raise DatasetRefused(
                f"class {label!r} has {have} usable photos, at least {MIN_PHOTOS_PER_CLASS} are needed, to learn from, "
                f"to choose by and to test with; add photos or remove the class{_because(skipped)}"
            )
        for split in Split:
            if not per_split[split]:
                places = {(camera_of(photo), photo.split) for photo in manifest.photos if photo.label == label}
                cameras = {camera for camera, _ in places}
                remedy = "add photos to it"
                if None not in cameras and len(places) == len(cameras):
                    remedy = f"its cameras ({len(cameras)}) are in one split each: --split-by day, or more cameras"
                raise DatasetRefused(f"class {label!r} has no photo in the {split} split; {remedy}")


def _because(skipped: Sequence[tuple[str, str]]) -> str:
    if not skipped:
        return ""
    first = "; ".join(f"{key}: {reason}" for key, reason in skipped[:3])
    return f" ({len(skipped)} skipped, first: {first})"


def _spread(values: Sequence[float]) -> Spread:
    tenths = quantiles(values, n=10, method="inclusive")
    return Spread(low=round(tenths[0], 6), median=round(tenths[4], 6), high=round(tenths[8], 6))
