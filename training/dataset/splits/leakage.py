"""Near-duplicates on both sides of a split: a model that learned one of them has seen the other's answer. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.duplicates.hamming import near_pairs
from training.dataset.duplicates.near_duplicates import Hashes
from training.dataset.manifest import Manifest, Photo, Split
from training.errors import SplitsLeak

NAMED: Final = 20
_SHOWN: Final = 3
_SPLITS: Final = tuple(Split)
_MEETS: Final[dict[Split, tuple[Split, ...]]] = {
    Split.TRAIN: (),
    Split.VALIDATION: (Split.TRAIN,),
    Split.TEST: (Split.TRAIN, Split.VALIDATION),
}


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Two photos that look the same, in different splits."""

    one: Photo
    other: Photo
    distance: int
    """Bits in which their perceptual hashes differ."""


@dataclass(frozen=True, kw_only=True)
class Leakage:
    """What leaks between a dataset's splits."""

    pairs: int
    examples: tuple[Leak, ...]
    """The first of them, up to `NAMED`."""


def find_leaks(manifest: Manifest) -> Leakage:
    """Count all pairs of photos that look the same in different splits, and name the first."""
    photos = manifest.photos
    hashes = Hashes([photo.perceptual_hash for photo in photos])
    splits = np.array([_SPLITS.index(photo.split) for photo in photos], dtype=np.intp)
    counts = np.zeros((len(hashes.distinct), len(_SPLITS)), dtype=np.int64)
    """Photos by hash and split."""
    telling = hashes.looks >= 0
    np.add.at(counts, (hashes.looks[telling], splits[telling]), 1)
    around = counts > 0
    """The splits that have photos near to a hash."""
    pairs = int(_crossing(counts, counts).sum()) // 2
    for ones, others in near_pairs(hashes.distinct):
        pairs += int(_crossing(counts[ones], counts[others]).sum())
        np.logical_or.at(around, ones, counts[others] > 0)
        np.logical_or.at(around, others, counts[ones] > 0)
    return Leakage(pairs=pairs, examples=tuple(_examples(photos, hashes, around)) if pairs else ())


def _crossing(ones: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pairs in different splits between photos that are counted by split."""
    return ones.sum(axis=1) * others.sum(axis=1) - (ones * others).sum(axis=1)


def _examples(photos: Sequence[Photo], hashes: Hashes, around: npt.NDArray[np.bool_]) -> Iterator[Leak]:
    """The first `NAMED` pairs by key. Each is met once: validation meets train, test meets both."""
    left = NAMED
    for place, photo in enumerate(photos):
        meets = _MEETS[photo.split]
        if hashes.looks[place] < 0 or not around[hashes.looks[place]][[_SPLITS.index(each) for each in meets]].any():
            continue
        crossing = [other for other in hashes.near(place).tolist() if photos[other].split in meets][:left]
        for other in crossing:
            yield Leak(one=photo, other=photos[other], distance=hashes.distance(place, other))
        left -= len(crossing)
        if not left:
            return


def refuse_leaks(manifest: Manifest) -> None:
    """Raise SplitsLeak, naming pairs and the remedy, if near-duplicates are in different splits."""
    found = find_leaks(manifest)
    if not found.pairs:
        return
    named = "; ".join(
        f"{leak.one.key} ({leak.one.split}) and {leak.other.key} ({leak.other.split})"
        for leak in found.examples[:_SHOWN]
    )
    noun = "pair of photos looks" if found.pairs == 1 else "pairs of photos look"
    raise SplitsLeak(
        f"{found.pairs:,} {noun} the same and are in different splits, first: {named}; a test on them would promise "
        "too much. Leave one of each out (petpark data exclude), or ingest the photos again: near-duplicates then "
        "share a split"
    )
