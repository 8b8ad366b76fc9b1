"""Near-duplicates on both sides of a split: a model that learned one of them has seen the other's answer. Pure."""

from dataclasses import dataclass
from typing import Final

from training.dataset.manifest import Manifest, Photo
from training.dataset.near import Hashes
from training.dataset.split import Split
from training.errors import SplitsLeak

NAMED: Final = 20
_SHOWN: Final = 3


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
    """Compare every photo with those of the other splits: by the smaller splits, so that little is compared twice."""
    photos = manifest.photos
    hashes = Hashes([photo.perceptual_hash for photo in photos])
    pairs = 0
    examples: list[Leak] = []
    for place, photo in enumerate(photos):
        if photo.split is Split.TRAIN:
            continue  # each of its pairs is met from the other side
        for found in hashes.near(place):
            other = photos[int(found)]
            # Validation meets train only; test meets both.
            if other.split is photo.split or (photo.split is Split.VALIDATION and other.split is Split.TEST):
                continue
            pairs += 1
            if len(examples) < NAMED:
                examples.append(Leak(one=photo, other=other, distance=hashes.distance(place, int(found))))
    return Leakage(pairs=pairs, examples=tuple(examples))


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
