"""What differs between two datasets, photo by photo. Pure.

A photo is its bytes: its name begins with the class folder that it lay in, and so changes with its label.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest

from training.dataset.manifest import Manifest, Photo


@dataclass(frozen=True, kw_only=True)
class PhotoChange:
    """A photo that is in both datasets, with different descriptions."""

    before: Photo
    after: Photo


@dataclass(frozen=True, kw_only=True)
class DatasetDifference:
    """Everything in which dataset `after` differs from `before`, ascending by key; what is equal is not in here.

    A photo may be both relabelled and moved.
    """

    added: tuple[Photo, ...]
    removed: tuple[Photo, ...]
    relabelled: tuple[PhotoChange, ...]
    moved: tuple[PhotoChange, ...]
    """From one split to another."""
    redescribed: tuple[PhotoChange, ...]
    """Same label, same split; another name, group or measurement."""
    counts_before: Mapping[str, Mapping[str, int]]
    """Photos by label and split, as `Manifest.counts` returns them."""
    counts_after: Mapping[str, Mapping[str, int]]

    @property
    def empty(self) -> bool:
        """Whether the two are the same dataset."""
        return not (self.added or self.removed or self.relabelled or self.moved or self.redescribed)


def difference(before: Manifest, after: Manifest) -> DatasetDifference:
    """What became of `before` in `after`."""
    old, new = _by_content(before), _by_content(after)
    pairs = [pair for sha256 in old.keys() | new.keys() for pair in zip_longest(old[sha256], new[sha256])]
    changes = [PhotoChange(before=a, after=b) for a, b in pairs if a is not None and b is not None and a != b]

    def such(wanted: Callable[[PhotoChange], bool]) -> tuple[PhotoChange, ...]:
        return tuple(sorted(filter(wanted, changes), key=lambda change: change.after.key))

    return DatasetDifference(
        added=_sorted(b for a, b in pairs if a is None),
        removed=_sorted(a for a, b in pairs if b is None),
        relabelled=such(_relabelled),
        moved=such(_moved),
        redescribed=such(lambda change: not (_relabelled(change) or _moved(change))),
        counts_before=before.counts(),
        counts_after=after.counts(),
    )


def _by_content(manifest: Manifest) -> dict[str, list[Photo]]:
    """By hash, ascending by key: an ingestion keeps one of several copies, but a manifest may name them all."""
    found: dict[str, list[Photo]] = defaultdict(list)
    for photo in manifest.photos:
        found[photo.sha256].append(photo)
    return found


def _sorted(photos: Iterable[Photo | None]) -> tuple[Photo, ...]:
    return tuple(sorted((photo for photo in photos if photo is not None), key=lambda photo: photo.key))


def _relabelled(change: PhotoChange) -> bool:
    return change.before.label != change.after.label


def _moved(change: PhotoChange) -> bool:
    return change.before.split is not change.after.split
