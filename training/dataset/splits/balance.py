"""Which units change their split, so that every class has photos in every split. Pure.

A hash puts some 70, 10 and 20 % of many units into training, validation and test; of few it may put none. What was
considered instead: docs/design/data.md.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from training.dataset.manifest import Split
from training.dataset.splits.split import TEST_SHARE, VALIDATION_SHARE

_SHARES: Final = {
    Split.TEST: TEST_SHARE,
    Split.VALIDATION: VALIDATION_SHARE,
    Split.TRAIN: 1 - TEST_SHARE - VALIDATION_SHARE,
}
_LEAST: Final = 0.5
"""Of the photos that a split should have of a class; a hash gives fewer to rare classes only."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Photos that share a split, whichever it is."""

    name: str
    split: Split
    labels: Mapping[str, int]  # label -> photos


def least_photos(split: Split, photos: int) -> int:
    """How many of a class's photos a split needs."""
    return max(1, math.ceil(_LEAST * _SHARES[split] * photos))


def moves(units: list[Unit], placed: Mapping[tuple[str, Split], int], seed: int) -> dict[str, Split]:
    """Name the units that change their split, and where to; none where no class lacks photos.

    `placed` counts all photos by label and split, those of `units` among them. A move that would leave another split
    without its least is not made, except that one photo is enough where the only other way is not a photo at all.
    """
    counts = Counter(placed)
    totals: Counter[str] = Counter()
    for (label, _), photos in placed.items():
        totals[label] += photos
    by_label: dict[str, list[Unit]] = defaultdict(list)
    for unit in sorted(units, key=lambda unit: (sum(unit.labels.values()), _order(seed, unit.name))):
        for label in unit.labels:
            by_label[label].append(unit)
    found: dict[str, Split] = {}
    for label in sorted(by_label, key=lambda label: (totals[label], label)):
        for split in _SHARES:
            wanted = least_photos(split, totals[label])
            for least, strictly in ((wanted, True), (1, False)):
                for unit in by_label[label]:
                    if counts[label, split] >= least:
                        break
                    if unit.name not in found and _can_leave(unit, split, counts, totals, strictly=strictly):
                        found[unit.name] = split
                        for each, photos in unit.labels.items():
                            counts[each, unit.split] -= photos
                            counts[each, split] += photos
    return found


def _can_leave(
    unit: Unit, split: Split, counts: Mapping[tuple[str, Split], int], totals: Mapping[str, int], *, strictly: bool
) -> bool:
    if unit.split is split:
        return False
    return all(
        counts[label, unit.split] - photos >= (least_photos(unit.split, totals[label]) if strictly else 1)
        for label, photos in unit.labels.items()
    )


def _order(seed: int, name: str) -> bytes:
    """Whose turn it is among units of a size: by another hash than the one that splits, so that all are as likely."""
    return hashlib.sha256(f"{seed}:move:{name}".encode()).digest()
