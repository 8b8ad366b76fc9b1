"""The first half of each class of a folder of photos, so that the second training has additional photos."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from training.dataset.sources import Candidate, FolderSource

LEAST: Final = 100
"""Minimum photos per class for which half of them suffice for the first training."""


def count(photos: Path) -> dict[str, int]:
    """How many files each class has."""
    return {label: len(keys) for label, keys in _by_class(photos).items()}


def grows(photos: Path) -> bool:
    """Whether half of the photos are enough for a first version."""
    return min(count(photos).values(), default=0) >= LEAST


def early(photos: Path, directory: Path) -> Path:
    """Fill `directory` with links to every other photo of each class, by name; returns it."""
    for keys in _by_class(photos).values():
        for key in keys[::2]:
            link = directory / key
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((photos / key).resolve())
    return directory


def _by_class(photos: Path) -> dict[str, list[str]]:
    """Keys of files by the folder that they are below of, ascending."""
    found: dict[str, list[str]] = {}
    for each in FolderSource(photos):
        label, _, rest = each.key.partition("/")
        if isinstance(each, Candidate) and rest:
            found.setdefault(label, []).append(each.key)
    return found
