"""Reliability: files that are no photos, photos that say the same twice or contradict each other, cameras that tell."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.manifest import Photo
from training.dataset.near import Hashes
from training.dataset.quality.findings import Characteristic, Concern, Name, Table, finding, share
from training.dataset.quality.likeness import Alike
from training.dataset.split import camera_of

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
    photos: Sequence[Photo], *, skipped: Sequence[tuple[str, str]] | None, leaks: Sequence[Alike] | None = None
) -> Characteristic:
    """Say what contradicts or repeats itself.

    `skipped` is what ingestion left out, with its reasons (None: nobody knows); `leaks` are pairs across splits that
    embeddings found (None: nobody looked).
    """
    near, contradicting = _look_alikes(photos)
    bias, drivers = _bias(photos)
    measures = {
        "near_duplicates": share(len(near), len(photos)),
        "contradictions": share(len(contradicting), len(photos)),
        "camera_bias": bias,
    }
    kinds = Counter(kind_of(reason) for _, reason in skipped or ())
    if skipped is not None:
        measures["unusable"] = share(kinds[UNUSABLE], len(photos) + kinds[UNUSABLE])
    if leaks is not None:
        measures["leaks"] = float(len(leaks))
    return Characteristic(
        name=Name.RELIABILITY,
        summary=(f"{len(skipped):,} files were left out, {kinds[UNUSABLE]:,} of them no whole photos; " if skipped is not None
                 else "What ingestion left out was not recorded; ")
        + f"{len(near):,} photos look like another, {len(contradicting):,} like one with another label"
        + ("." if leaks is None else f"; {len(leaks):,} pairs show the same in two splits."),
        measures=measures,
        findings=(
            *finding(
                "leaks",
                "The same in two splits",
                "A test on them would promise too much, so that no training begins: exclude one of each.",
                [_pair(photos[each.one], photos[each.other], f"{photos[each.one].split}, beside it {photos[each.other].split}; "
                       f"cosine {each.cosine:.3f}") for each in leaks or ()],
            ),
            *finding(
                "contradictions",
                "Look-alikes with different labels",
                "One of the two is wrong, or both show more than one class: relabel one, or exclude both.",
                [_pair(photos[one], photos[other], f"“{photos[one].label}”, beside it “{photos[other].label}”", becomes=photos[other].label)
                 for one, other in contradicting],
            ),
            *finding(
                "near_duplicates",
                "Look-alikes",
                "They share a split, so nothing leaks; they only weigh more than others. Exclude some where they are many.",
                [_pair(photos[one], photos[other], "looks like the one beside it") for one, other in near],
            ),
        ),
        tables=(
            *((Table(caption="Left out by ingestion", columns=("why", "files"), rows=tuple(sorted(kinds.items()))),) if kinds else ()),
            *((Table(caption="First of the files left out", columns=("file", "why"), rows=tuple((skipped or ())[:_NAMED])),) if skipped else ()),
            *((Table(caption=f"Cameras that tell the class (Cramér's V {bias:.2f})",
                     columns=("camera", "class", "photos", "expected"), rows=tuple(drivers)),) if drivers else ()),
        ),
    )  # fmt: skip


def kind_of(reason: str) -> str:
    """What kind of reason ingestion had to leave a file out; anything that decoding says is `UNUSABLE`."""
    return next((kind for start, kind in _KINDS if reason.startswith(start)), UNUSABLE)


def _look_alikes(photos: Sequence[Photo]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Each photo that looks like another, with the first such; and with the first of another label, once a pair."""
    hashes = Hashes([photo.perceptual_hash for photo in photos])
    near: list[tuple[int, int]] = []
    contradicting: list[tuple[int, int]] = []
    for place, photo in enumerate(photos):
        others = [int(other) for other in hashes.near(place) if other != place]
        if others:
            near.append((place, others[0]))
        unlike = next((other for other in others if photos[other].label != photo.label), None)
        if unlike is not None:
            contradicting.append((place, unlike))
    return near, contradicting


def _bias(photos: Sequence[Photo]) -> tuple[float, list[tuple[str, str, int, float]]]:
    """Cramér's V of camera and class, corrected for chance (Bergsma, J. Korean Statistical Society 42:3, 2013).

    0: the camera says nothing about the class; 1: it says all. With it, the pairs that deviate most.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for photo in photos:
        if camera := camera_of(photo):
            counts[camera][photo.label] += 1
    cameras, labels = sorted(counts), sorted({label for each in counts.values() for label in each})
    if len(cameras) < 2 or len(labels) < 2:  # noqa: PLR2004
        return 0.0, []
    table = np.array([[counts[camera][label] for label in labels] for camera in cameras], dtype=np.float64)
    value, residuals, expected = _cramer(table)
    order = np.argsort(-np.abs(residuals), axis=None)[:_NAMED]
    found = [(cameras[n // len(labels)], labels[n % len(labels)]) for n in map(int, order)]
    return value, [
        (camera, label, counts[camera][label], round(float(expected[cameras.index(camera), labels.index(label)]), 1))
        for camera, label in found
    ]


def _cramer(
    table: npt.NDArray[np.float64],
) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    total = table.sum()
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
    residuals = (table - expected) / np.sqrt(expected)
    rows, columns = table.shape
    phi = max(0.0, float((residuals**2).sum()) / total - (rows - 1) * (columns - 1) / (total - 1))
    rows_fair, columns_fair = rows - (rows - 1) ** 2 / (total - 1), columns - (columns - 1) ** 2 / (total - 1)
    least = min(rows_fair, columns_fair) - 1
    return (round(min(1.0, (phi / least) ** 0.5), 6) if least > 0 else 0.0), residuals, expected


def _pair(one: Photo, other: Photo, why: str, *, becomes: str | None = None) -> Concern:
    return Concern(
        key=one.key, sha256=one.sha256, label=one.label, why=why, becomes=becomes, beside=(other.key, other.sha256)
    )
