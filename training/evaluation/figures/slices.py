"""Where a model does worse: accuracy by camera, hour, light, size and whatever else the manifest knows of a photo."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.intervals import Interval, difference_interval, wilson_interval
from training.dataset.manifest import Photo
from training.evaluation.figures.significance import fisher, holm

LEAST_PHOTOS: Final = 20
"""A slice of fewer photos is too small to act upon."""

SIGNIFICANT: Final = 0.05
_MOST_VALUES: Final = 60
_HOURS: Final = 3
# Identity, what is measured anyway (label), and what another column shows (size).
_NO_SLICES: Final = frozenset({"key", "sha256", "perceptual_hash", "split", "label", "width", "height", "captured_at"})


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The test photos that share a property, against all others."""

    column: str
    value: str
    photos: int
    accuracy: float
    interval: Interval
    gap: float  # accuracy of all other photos minus that of these; above 0 these do worse
    gap_interval: Interval
    p_value: float  # that these do no worse than the others, adjusted for the number of slices (Holm)

    @property
    def worse(self) -> bool:
        """Beyond luck, all slices together."""
        return self.p_value < SIGNIFICANT


def measure_slices(photos: Sequence[Photo], right: npt.NDArray[np.bool_]) -> tuple[Slice, ...]:
    """Slice the photos by every column that can slice them; by column, then as the values are ordered."""
    found = large_partitions(photos)
    counts = [(int(right[inside].sum()), int(inside.sum())) for _, _, inside in found]
    hits, total = int(right.sum()), len(photos)
    p_values = holm([fisher(of - good, of, total - of - (hits - good), total - of) for good, of in counts])
    return tuple(
        Slice(
            column=column,
            value=value,
            photos=of,
            accuracy=good / of,
            interval=wilson_interval(good, of),
            gap=(hits - good) / (total - of) - good / of,
            gap_interval=difference_interval(hits - good, total - of, good, of),
            p_value=p_value,
        )
        for (column, value, _), (good, of), p_value in zip(found, counts, p_values, strict=True)
    )


def worst(slices: Iterable[Slice]) -> Slice | None:
    """Returns the slice that could be furthest behind: by its gap's upper bound, so that few photos are no excuse."""
    return max(slices, key=lambda each: each.gap_interval[1], default=None)


type Part = tuple[str, str, npt.NDArray[np.bool_]]
"""Column, value, and which photos have it."""


def partitions(photos: Sequence[Photo]) -> list[Part]:
    """Part the photos by every property that can: texts by value, numbers by thirds, the moment by three hours."""
    rows = [_columns(photo) for photo in photos]
    found = [
        *_by_text("hour", [_hours(photo.captured_at) for photo in photos]),
        *_by_thirds("size", [photo.width * photo.height / 1e6 for photo in photos], " MP"),
    ]
    for column in sorted({column for row in rows for column in row} - _NO_SLICES):
        values = [row.get(column) for row in rows]
        known = [value for value in values if value is not None]
        if all(isinstance(value, str) for value in known):
            found += _by_text(column, values)
        elif all(isinstance(value, int | float) for value in known):
            found += _by_thirds(column, [np.nan if value is None else value for value in values])
    return sorted(found, key=lambda part: part[0])


def large_partitions(photos: Sequence[Photo]) -> list[Part]:
    """Returns the partitions with at least `LEAST_PHOTOS` photos, except those that contain all photos."""
    return [part for part in partitions(photos) if LEAST_PHOTOS <= part[2].sum() < len(photos)]


def _columns(photo: Photo) -> dict[str, Any]:
    """A photo's properties in its manifest; a column of the index never overrides one of ours."""
    own = asdict(photo)
    del own["groups"]
    return {**dict(photo.groups), **own}


def _hours(captured_at: str | None) -> str | None:
    if captured_at is None:
        return None
    start = int(captured_at[11:13]) // _HOURS * _HOURS
    return f"{start:02d}–{start + _HOURS:02d} h"


def _by_text(column: str, values: Sequence[str | None]) -> list[Part]:
    names = np.array(values, dtype=object)
    different = sorted({value for value in values if value is not None})
    return [(column, value, names == value) for value in different] if len(different) <= _MOST_VALUES else []


def _by_thirds(column: str, values: Sequence[float], unit: str = "") -> list[Part]:
    """Part by thirds of the known values; equal values are never parted."""
    numbers = np.array(values, dtype=float)
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return []
    edges = np.unique([*np.quantile(known, (1 / 3, 2 / 3), method="lower"), known.max()])
    parts: list[Part] = []
    below = -np.inf
    for edge in edges:
        inside = (numbers > below) & (numbers <= edge)
        parts.append((column, f"{numbers[inside].min():.3g} to {edge:.3g}{unit}", inside))
        below = edge
    return parts
