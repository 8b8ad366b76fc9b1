"""Reliability: files that are not photos, near-duplicates, contradicting photos, cameras that predict the class."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from training.dataset.duplicates.hamming import Places, near_both_ways
from training.dataset.duplicates.near_duplicates import Hashes
from training.dataset.manifest import Photo
from training.quality.characteristics.bias import camera_bias
from training.quality.characteristics.similarity import SimilarPair
from training.quality.findings import Characteristic, Concern, Finding, Name, finding, share, table

UNUSABLE: Final = "no whole photo"
_KINDS: Final = (
    ("same bytes as ", "same bytes as another"),
    ("labels contradict", "same bytes, other label"),
    ("looks like ", "would leak between splits"),
    ("excluded by ", "excluded by a person"),
    ("not in the index", "not in the index"),
    ("in the index", "not in the index"),
    ("not in a class folder", "in no class folder"),
    ("another file of this name", "a name twice"),
)
_NAMED: Final = 12


def reliability(
    photos: Sequence[Photo], *, skipped: Sequence[tuple[str, str]] | None, leaks: Sequence[SimilarPair] | None = None
) -> Characteristic:
    """Returns what contradicts or repeats itself.

    `skipped` is what ingestion left out, with its reasons (None: unknown); `leaks` are pairs across splits that
    embeddings found (None: not checked).
    """
    near, contradicting = _look_alikes(photos)
    bias, drivers = camera_bias(photos)
    kinds = Counter(kind_of(reason) for _, reason in skipped or ())
    measures = {
        "near_duplicates": share(len(near), len(photos)),
        "contradictions": share(len(contradicting), len(photos)),
        "camera_bias": bias,
    }
    left_out = "what ingestion left out was not recorded"
    if skipped is not None:
        measures["unusable"] = share(kinds[UNUSABLE], len(photos) + kinds[UNUSABLE])
        left_out = f"{len(skipped):,} files were left out, {kinds[UNUSABLE]:,} of them not complete photos"
    crossing = ""
    if leaks is not None:
        measures["leaks"] = float(len(leaks))
        crossing = f"; {len(leaks):,} pairs show the same in two splits"
    return Characteristic(
        name=Name.RELIABILITY,
        summary=f"{len(near):,} photos look like another, {len(contradicting):,} like one with another label{crossing};"
        f" {left_out}.",
        measures=measures,
        findings=(
            *_leaking(photos, leaks or ()),
            *_contradicting(photos, contradicting),
            *finding(
                "near_duplicates",
                "Look-alikes",
                "They share a split, so nothing leaks, but weigh more than others: exclude some where they are many.",
                [_pair(photos[one], photos[other], "looks like the one next to it") for one, other in near],
            ),
        ),
        tables=(
            *table("Left out by ingestion", ("why", "files"), sorted(kinds.items())),
            *table("First of the files left out", ("file", "why"), (skipped or ())[:_NAMED]),
            *table(
                f"Cameras that predict the class (Cramér's V {bias:.2f})",
                ("camera", "class", "photos", "expected"),
                drivers,
            ),
        ),
    )


def _leaking(photos: Sequence[Photo], leaks: Sequence[SimilarPair]) -> tuple[Finding, ...]:
    def why(each: SimilarPair) -> str:
        return f"{photos[each.one].split}, next to it {photos[each.other].split}; cosine {each.cosine:.3f}"

    return finding(
        "leaks",
        "The same in two splits",
        "A test on them would promise too much, so no training begins: exclude one of each.",
        [_pair(photos[each.one], photos[each.other], why(each)) for each in leaks],
    )


def _contradicting(photos: Sequence[Photo], pairs: Sequence[tuple[int, int]]) -> tuple[Finding, ...]:
    def why(one: Photo, other: Photo) -> str:
        return f"“{one.label}”, next to it “{other.label}”"

    return finding(
        "contradictions",
        "Look-alikes with different labels",
        "One of the two is wrong, or both show more than one class: relabel one, or exclude both.",
        [_pair(photos[one], photos[other], why(photos[one], photos[other])) for one, other in pairs],
    )


def kind_of(reason: str) -> str:
    """The kind of reason why ingestion skipped a file; any decoding error is `UNUSABLE`."""
    return next((kind for start, kind in _KINDS if reason.startswith(start)), UNUSABLE)


def _look_alikes(photos: Sequence[Photo]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Each photo that looks like another, with the first such; and with the first of another label, once a pair."""
    hashes = Hashes([photo.perceptual_hash for photo in photos])
    none = len(photos)
    labels = np.unique([*(photo.label for photo in photos), ""], return_inverse=True)[1]  # of `none`: no label
    every = np.arange(none)
    own = hashes.lowest(every)
    """The first photo of each hash; below, of all hashes near to it."""
    around = np.full(len(own), none)
    for ones, others in near_both_ways(hashes.distinct):
        np.minimum.at(around, ones, own[others])
    first = np.minimum(own, around)
    unlike_own = hashes.lowest(every[labels[:-1] != labels[own[hashes.looks]]]) if len(own) else own
    unlike = np.where(labels[own] == labels[first], unlike_own, own)
    """The first of another label than `first`: what looks like photos of both is unlike one of the two."""
    for ones, others in near_both_ways(hashes.distinct):
        candidates = np.where(labels[own[others]] == labels[first[ones]], unlike_own[others], own[others])
        np.minimum.at(unlike, ones, candidates)

    telling = np.flatnonzero(hashes.looks >= 0)
    looks = hashes.looks[telling]
    second = np.minimum(hashes.lowest(np.delete(every, own)), around)
    beside = np.where(telling == own[looks], second[looks], first[looks])
    other = np.where(labels[telling] == labels[first[looks]], unlike[looks], first[looks])
    return _pairs(telling, beside, none), _pairs(telling, other, none)


def _pairs(ones: Places, others: Places, none: int) -> list[tuple[int, int]]:
    there = others < none
    return list(zip(ones[there].tolist(), others[there].tolist(), strict=True))


def _pair(one: Photo, other: Photo, why: str) -> Concern:
    return Concern(key=one.key, sha256=one.sha256, label=one.label, why=why, beside=(other.key, other.sha256))
