"""Photos in folds, so that each is judged by a network that saw neither it nor what looks like it. Pure."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.duplicates.near_duplicates import Hashes
from training.dataset.manifest import Photo
from training.dataset.splits.split import SplitBy, unit_of

_MOST: Final = 0.6
"""Share of the photos, or of a class's photos, that one fold may have: the others must be enough to learn from."""


def folds_of(photos: Sequence[Photo], count: int) -> npt.NDArray[np.intp]:
    """Assign each photo a fold, 0 to `count` - 1; near-duplicates share one.

    So do photos of a camera, else of a camera's day, where there are so many of these that every class can still be
    learned from the other folds.
    """
    looks = Hashes([photo.perceptual_hash for photo in photos]).first.tolist()
    for by in (SplitBy.CAMERA, SplitBy.DAY):
        folds = _deal(photos, _joined(looks, [unit_of(photo, by) for photo in photos]), count)
        if _learnable(photos, folds):
            return folds
    return _deal(photos, looks, count)


def _joined(looks: Sequence[int], units: Sequence[str | None]) -> list[int]:
    """Join look-alikes and photos of one unit, transitively; returns for each photo the name of its component."""
    parent = list(range(len(looks)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[str, int] = {}
    for place, (look, unit) in enumerate(zip(looks, units, strict=True)):
        parent[root(place)] = root(look)
        if unit is not None:
            parent[root(place)] = root(first.setdefault(unit, place))
    return [root(place) for place in range(len(looks))]


def _deal(photos: Sequence[Photo], units: Sequence[int], count: int) -> npt.NDArray[np.intp]:
    """Largest unit first, each to the fold that has fewest of its photos' classes; ties by hash, so never by name."""
    members: dict[int, list[int]] = defaultdict(list)
    for place, unit in enumerate(units):
        members[unit].append(place)
    have = [Counter[str]() for _ in range(count)]
    folds = np.zeros(len(photos), dtype=np.intp)
    for places in sorted(members.values(), key=lambda each: (-len(each), min(photos[n].sha256 for n in each))):
        labels = Counter(photos[place].label for place in places)
        fold = min(
            range(count),
            key=lambda n: (sum(have[n][label] * times for label, times in labels.items()), have[n].total()),
        )
        have[fold] += labels
        folds[places] = fold
    return folds


def _learnable(photos: Sequence[Photo], folds: npt.NDArray[np.intp]) -> bool:
    labels = np.array([photo.label for photo in photos])
    groups = [folds, *(folds[labels == label] for label in np.unique(labels))]
    return all(np.bincount(group).max() <= _MOST * len(group) for group in groups)
