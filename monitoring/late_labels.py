"""Labels that come late: which photos people should label, what the accuracy then is, and how far two people agree."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.intervals import Z95, Interval, wilson_interval

BANDS: Final = (0.6, 0.8, 0.95)
"""Bounds of confidence between strata: errors are frequent in the lowest band and rare in the highest."""

SECOND: Final = 0.1
"""Share of a sample that two people label."""

_LEAST_SPREAD: Final = 0.1  # that is assumed of a stratum, so that a confident one is sampled too

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Photos to label."""

    places: Numbers  # [n], ascending
    chances: Numbers  # [n]: with which each was drawn; its weight is the inverse
    twice: Numbers  # bool [n]: labelled by two people


def choose_sample(confidence: Numbers, periods: Sequence[object], *, count: int, seed: int) -> Sample:
    """Choose `count` photos (all, if there are fewer) from strata of period and confidence.

    A stratum gets photos in proportion to its size and to the spread of right and wrong that its confidence implies
    (Neyman, 1934), and at least one. Every photo has a chance, so that the weighted accuracy is unbiased.
    """
    rng = np.random.default_rng(seed)
    bands = np.digitize(confidence, BANDS)
    strata: dict[tuple[object, int], list[int]] = {}
    for place, key in enumerate(zip(periods, bands.tolist(), strict=True)):
        strata.setdefault(key, []).append(place)
    members = [np.array(places) for _, places in sorted(strata.items(), key=lambda pair: (str(pair[0][0]), pair[0][1]))]
    means = [float(confidence[each].mean()) for each in members]
    spread = [max(_LEAST_SPREAD, math.sqrt(max(0.0, mean * (1 - mean)))) for mean in means]
    sizes = allocate([len(each) for each in members], spread, count)
    drawn = [
        (rng.choice(each, size, replace=False), size / len(each)) for each, size in zip(members, sizes, strict=True)
    ]
    places = np.concatenate([chosen for chosen, _ in drawn]) if drawn else np.empty(0, dtype=np.int64)
    chances = np.concatenate([np.full(len(chosen), chance) for chosen, chance in drawn]) if drawn else np.empty(0)
    order = np.argsort(places)
    twice = np.zeros(len(places), dtype=np.bool_)
    twice[rng.permutation(len(places))[: math.ceil(SECOND * len(places))]] = True
    return Sample(places=places[order], chances=chances[order], twice=twice)


def allocate(sizes: Sequence[int], spread: Sequence[float], count: int) -> list[int]:
    """Divide `count` among strata: at least one each, no more than there are, otherwise in proportion.

    With fewer than there are strata, each still gets one: otherwise no weight could stand for it.
    """
    given = [min(1, size) for size in sizes]
    while sum(given) < min(count, sum(sizes)):
        # The stratum whose next photo lowers the variance most; ties go to the first
        gains = [
            size * each / math.sqrt(had * (had + 1)) if had < size else -1.0
            for size, each, had in zip(sizes, spread, given, strict=True)
        ]
        given[int(np.argmax(gains))] += 1
    return given


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Of one period."""

    period: str
    labels: int
    accuracy: float
    interval: Interval  # 95 %


def accuracy_over_time(periods: Sequence[str], right: Numbers, chances: Numbers) -> list[Accuracy]:
    """Returns the accuracy of each period, ascending, from labelled photos that were drawn with `chances`.

    The weighted share (Hájek), with Wilson's interval for as many photos as the weights are worth (Kish, 1965).
    """
    if len(chances) and not ((chances > 0) & (chances <= 1)).all():
        raise ValueError("a photo's chance to be drawn is above 0 and at most 1")
    found: list[Accuracy] = []
    named = np.array(periods, dtype=np.str_)
    for period in sorted(set(periods)):
        own = named == period
        weights = 1 / chances[own]
        total = float(weights.sum())
        share = float((weights * right[own]).sum()) / total
        worth = total * total / float((weights * weights).sum())
        found.append(
            Accuracy(
                period=period,
                labels=int(own.sum()),
                accuracy=share,
                interval=wilson_interval(share * worth, worth),
            )
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of two people on the same photos."""

    photos: int
    share: float  # of photos with the same label
    kappa: float  # 1: always; 0: as often as by chance
    interval: Interval  # 95 %, of kappa


def cohens_kappa(one: Sequence[str], other: Sequence[str]) -> Agreement:
    """Returns how far two people agree beyond chance (Cohen, 1960); ValueError without photos.

    The interval is that of Fleiss, Cohen & Everitt (Psychological Bulletin 1969). Where both give all photos the same
    one label, kappa is not defined; they agree, so it is 1, with an interval that says nothing.
    """
    labels = sorted({*one, *other})
    if not labels or len(one) != len(other):
        raise ValueError("agreement takes labels of two people for the same photos, at least one")
    table = np.zeros((len(labels), len(labels)))
    for first, second in zip(one, other, strict=True):
        table[labels.index(first), labels.index(second)] += 1
    seen = float(np.trace(table)) / len(one)
    table /= len(one)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    chance = float(rows @ columns)
    if chance >= 1:
        return Agreement(photos=len(one), share=seen, kappa=1.0, interval=(-1.0, 1.0))
    kappa = (seen - chance) / (1 - chance)
    same = float((np.diag(table) * ((1 - chance) - (rows + columns) * (1 - seen)) ** 2).sum())
    across = (columns[:, None] + rows[None, :]) ** 2 * table
    differ = (1 - seen) ** 2 * float(across.sum() - np.trace(across))
    rest = (seen * chance - 2 * chance + seen) ** 2
    error = math.sqrt(max(0.0, same + differ - rest) / len(one)) / (1 - chance) ** 2
    return Agreement(
        photos=len(one),
        share=seen,
        kappa=kappa,
        interval=(max(-1.0, kappa - Z95 * error), min(1.0, kappa + Z95 * error)),
    )
