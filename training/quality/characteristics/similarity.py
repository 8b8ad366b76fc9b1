"""Embeddings of photos, compared: which are like no others, and which show the same in two splits. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.manifest import Photo, Split

type Numbers = npt.NDArray[np.float32]
type Places = npt.NDArray[np.intp]

ALIKE: Final = 0.95
"""Cosine of two embeddings from which on photos may show the same; `docs/design/data.md` has the evidence."""

LOOKS: Final = 0.9
"""Correlation of two small pictures from which on they do."""

_NEIGHBOURS: Final = 10
_REFERENCES: Final = 20_000
_ROWS: Final = 1024
_COLUMNS: Final = 4096
_COSINES: Final = _ROWS * _COLUMNS
"""Cosines in memory at a time: 16 MB, however many photos there are."""
_FAR: Final = 3.0
_EACH: Final = 3


@dataclass(frozen=True, kw_only=True)
class SimilarPair:
    """Two photos by place that show the same."""

    one: int
    other: int
    cosine: float
    looks: float


def strangeness(embeddings: Numbers, *, seed: int = 0) -> Numbers:
    """Mean cosine distance [N] to the nearest photos (Kuan & Mueller, 2022, https://arxiv.org/abs/2207.03061).

    Of many photos, that is to the nearest of a sample of them.
    """
    count = len(embeddings)
    order = np.random.default_rng(seed).permutation(count)[:_REFERENCES]
    references = embeddings[np.sort(order)]
    wanted = min(_NEIGHBOURS + 1, len(references))
    found = np.empty(count, dtype=np.float32)
    rows = max(1, _COSINES // max(1, len(references)))
    for start in range(0, count, rows):
        likeness = embeddings[start : start + rows] @ references.T
        nearest = np.partition(likeness, len(references) - wanted, axis=1)[:, -wanted:]
        itself = nearest.max(axis=1, keepdims=True) > 1 - 1e-6  # is among the references, or as good as
        total = nearest.sum(axis=1) - np.where(itself, nearest.max(axis=1, keepdims=True), 0)[:, 0]
        found[start : start + rows] = 1 - total / np.maximum(wanted - itself[:, 0], 1)
    return found


def strangers(distances: Numbers) -> npt.NDArray[np.intp]:
    """Places of photos far out (Tukey's outer fence), the strangest first."""
    low, high = np.quantile(distances, [0.25, 0.75])
    places = np.flatnonzero(distances > high + _FAR * (high - low))
    return places[np.argsort(-distances[places], kind="stable")]


def alike_across_splits(
    photos: Sequence[Photo],
    embeddings: Numbers,
    small: Numbers,
    *,
    alike: float = ALIKE,
    looks: float = LOOKS,
) -> list[SimilarPair]:
    """Pairs in different splits whose embeddings nearly agree and which look the same, mirrored or not; nearest first.

    `small` [N, 16, 16] as in `Appearance`. Of one photo's pairs the nearest three are found; of equally near ones, the
    first by place.
    """
    splits = np.array([list(Split).index(photo.split) for photo in photos])
    found: list[SimilarPair] = []
    for split in (Split.VALIDATION, Split.TEST):  # validation meets train only; test meets both
        code = list(Split).index(split)
        here = np.flatnonzero(splits == code)
        there = np.flatnonzero(splits < code)
        for start in range(0, len(here), _ROWS):
            rows = here[start : start + _ROWS]
            cosines, nearest = _nearest(embeddings, rows, there, alike)
            for row, column in zip(*np.nonzero(nearest >= 0), strict=True):
                one, other = int(rows[row]), int(nearest[row, column])
                same = resemblance(small[one], small[other])
                if same >= looks:
                    cosine = round(float(cosines[row, column]), 4)
                    found.append(SimilarPair(one=one, other=other, cosine=cosine, looks=round(same, 4)))
    return sorted(found, key=lambda pair: (-pair.cosine, photos[pair.one].key, photos[pair.other].key))


def _nearest(embeddings: Numbers, rows: Places, there: Places, alike: float) -> tuple[Numbers, Places]:
    """For each row the cosines [R, `_EACH`] and places of those `there` that are nearest, in tiles; -1: none is near.

    `there` ascends.
    """
    best = np.full((len(rows), _EACH), -np.inf, dtype=np.float32)
    places = np.full((len(rows), _EACH), -1, dtype=np.intp)
    own = embeddings[rows]
    for start in range(0, len(there), _COLUMNS):
        columns = there[start : start + _COLUMNS]
        likeness = own @ embeddings[columns].T
        some = np.flatnonzero(likeness.max(axis=1) >= alike)
        if not len(some):
            continue
        likeness = likeness[some]
        cosines, found = [best[some]], [places[some]]
        for _ in range(min(_EACH, len(columns))):
            column = likeness.argmax(axis=1)[:, None]  # of equals the first
            cosines.append(np.take_along_axis(likeness, column, axis=1))
            found.append(np.where(cosines[-1] >= alike, columns[column], -1))
            np.put_along_axis(likeness, column, -np.inf, axis=1)
        every, all_places = np.concatenate(cosines, axis=1), np.concatenate(found, axis=1)
        order = np.argsort(-every, axis=1, kind="stable")[:, :_EACH]  # of equals the one of an earlier tile
        best[some] = np.take_along_axis(every, order, axis=1)
        places[some] = np.take_along_axis(all_places, order, axis=1)
    return best, places


def resemblance(one: Numbers, other: Numbers) -> float:
    """Correlation of two grey thumbnails [S, S], -1 to 1; the higher of upright and mirrored."""
    return max(_correlation(one, other), _correlation(one, other[:, ::-1]))


def _correlation(one: Numbers, other: Numbers) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / scale if scale else 0.0
