"""Formatting of the differences between two datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from petpark.output.console import Columns
from petpark.output.table import Cell

if TYPE_CHECKING:
    from training.dataset.difference import DatasetDifference, PhotoChange
    from training.dataset.manifest import Photo

_EXAMPLES = 3


def by_change(dataset: DatasetDifference, *, photos: bool) -> dict[str, Cell]:
    """The photos that differ, by how: how many, and some of them; every one on request."""
    return {how: _named(which, every=photos) for how, which in _differing(dataset).items() if which}


def by_class(dataset: DatasetDifference) -> Columns:
    """How many photos of each class are in each split, before and after."""
    counts = _counted(dataset)
    splits = list(next(iter(counts.values()), {}))
    rows = [(label, *map(both, each.values()), both(_total(each))) for label, each in counts.items()]
    return Columns(("", *splits, "all"), rows)


def photo_facts(dataset: DatasetDifference, *, photos: bool) -> dict[str, Any]:
    """The same for programs."""
    found = _differing(dataset)
    return {
        "counts": {
            label: {split: {"before": before, "after": after} for split, (before, after) in each.items()}
            for label, each in _counted(dataset).items()
        },
        **{how: len(which) for how, which in found.items()},
        "photos" if photos else "examples": {
            how: which if photos else which[:_EXAMPLES] for how, which in found.items()
        },
    }


def both(count: tuple[int, int]) -> str:
    """A number before and after; once if it is the same."""
    before, after = count
    return f"{before:,}" if before == after else f"{before:,} → {after:,}"


def _differing(dataset: DatasetDifference) -> dict[str, list[dict[str, str]]]:
    """The photos that differ, by how; those in both datasets go by their name in the second."""

    def changed(changes: Sequence[PhotoChange], fact: Callable[[Photo], str]) -> list[dict[str, str]]:
        return [{"key": each.after.key, "before": fact(each.before), "after": fact(each.after)} for each in changes]

    return {
        "added": [{"key": photo.key} for photo in dataset.added],
        "removed": [{"key": photo.key} for photo in dataset.removed],
        "relabelled": changed(dataset.relabelled, lambda photo: photo.label),
        "moved": changed(dataset.moved, lambda photo: str(photo.split)),
        "redescribed": changed(dataset.redescribed, lambda photo: photo.key),
    }


def _named(photos: Sequence[Mapping[str, str]], *, every: bool) -> str:
    """How many, and which: some, or all of them a line each."""
    names = [
        f"{photo['key']} ({photo['before']} → {photo['after']})" if "before" in photo else photo["key"]
        for photo in photos
    ]
    if every:
        return "\n".join([str(len(names)), *names])
    rest = ", …" if len(names) > _EXAMPLES else ""
    return f"{len(names):,}: {', '.join(names[:_EXAMPLES])}{rest}"


def _counted(dataset: DatasetDifference) -> dict[str, dict[str, tuple[int, int]]]:
    """Photos by label and split, (before, after)."""
    before, after = dataset.counts_before, dataset.counts_after
    labels = sorted(before.keys() | after.keys())
    splits = list(next(iter((*after.values(), *before.values())), {}))
    return {
        label: {split: (before.get(label, {}).get(split, 0), after.get(label, {}).get(split, 0)) for split in splits}
        for label in labels
    }


def _total(counts: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    return sum(before for before, _ in counts.values()), sum(after for _, after in counts.values())
