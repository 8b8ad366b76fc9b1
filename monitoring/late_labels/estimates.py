"""Stratified sampling of photos to label, the accuracy estimate, and agreement between two people."""

import bisect
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.intervals import Z95, Interval, wilson_interval

BANDS: Final = (0.6, 0.8, 0.95)
"""Bounds of confidence between strata: errors are frequent in the lowest band and rare in the highest."""

SECOND: Final = 0.1
"""Share of a sample that two people label."""

_LEAST_SPREAD: Final = 0.1  # minimum for any stratum, so that a confident one is sampled, too

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Photos to label."""

    indices: Numbers  # [n], ascending
    twice: Numbers  # bool [n]: labelled by two people


def band(confidence: float) -> int:
    """Returns the number of `BANDS` that are at most `confidence`."""
    return bisect.bisect_right(BANDS, confidence)


def choose_sample(strata: Sequence[Hashable], confidence: Numbers, *, count: int, seed: int) -> Drawn:
    """Returns `count` photos (all, if there are fewer), drawn from the given strata and confidences.

    A stratum gets photos in proportion to its size and to the standard deviation of correctness that its confidence
    implies (Neyman, 1934), and at least one. Within it all have the same probability, so that the weighted accuracy is
    unbiased.
    """
    rng = np.random.default_rng(seed)
    of: dict[Hashable, list[int]] = {}
    for place, stratum in enumerate(strata):
        of.setdefault(stratum, []).append(place)
    members = [np.array(indices) for _, indices in sorted(of.items(), key=lambda pair: str(pair[0]))]
    means = [float(confidence[each].mean()) for each in members]
    spread = [max(_LEAST_SPREAD, math.sqrt(max(0.0, mean * (1 - mean)))) for mean in means]
    sizes = allocate([len(each) for each in members], spread, count)
    drawn = [rng.choice(each, size, replace=False) for each, size in zip(members, sizes, strict=True)]
    indices = np.sort(np.concatenate(drawn)) if drawn else np.empty(0, dtype=np.int64)
    twice = np.zeros(len(indices), dtype=np.bool_)
    twice[rng.permutation(len(indices))[: math.ceil(SECOND * len(indices))]] = True
    return Drawn(indices=indices, twice=twice)


def allocate(sizes: Sequence[int], spread: Sequence[float], count: int) -> list[int]:
    """Returns `count` divided among strata: at least one each, no more than there are, otherwise in proportion.

    If `count` is below the number of strata, each still gets one; otherwise the estimate would exclude it.
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
class Counts:
    """Counts of one stratum."""

    recorded: int
    labelled: int  # of the recorded photos, drawn at random
    right: int  # of those labelled


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """The share of correct predictions among recorded photos, estimated from the labelled ones."""

    labelled: int
    accuracy: float
    interval: Interval  # 95 %
    covered: float
    """Share of the recorded photos in strata with a label; the estimate covers only these."""


def stratified_accuracy(strata: Sequence[Counts]) -> Accuracy | None:
    """Returns the accuracy over all strata, or None without labels. Raises ValueError for impossible counts.

    The stratified mean (Cochran, Sampling Techniques, 1977, section 5.3), unbiased if each stratum has a label. The
    interval is Wilson's, for the number of photos that has the variance of this mean. For the variance only, each
    stratum has one more right and one more wrong prediction (Agresti & Coull, The American Statistician 1998): a
    stratum of three right predictions is not certain. The recorded photos count as a sample of a larger number, so
    labelling all of them leaves an interval, too.
    """
    if any(not 0 <= each.right <= each.labelled <= each.recorded for each in strata):
        raise ValueError("a stratum has more correct predictions than labels, or more labels than photos")
    known = [each for each in strata if each.labelled]
    stands_for = sum(each.recorded for each in known)
    if not stands_for:
        return None
    weights = [each.recorded / stands_for for each in known]
    share = math.fsum(weight * each.right / each.labelled for weight, each in zip(weights, known, strict=True))
    smooth = [(each.right + 1) / (each.labelled + 2) for each in known]
    variance = math.fsum(
        weight * weight * p * (1 - p) / each.labelled for weight, p, each in zip(weights, smooth, known, strict=True)
    )
    middle = math.fsum(weight * p for weight, p in zip(weights, smooth, strict=True))
    worth = middle * (1 - middle) / variance
    return Accuracy(
        labelled=sum(each.labelled for each in known),
        accuracy=share,
        interval=wilson_interval(share * worth, worth),
        covered=stands_for / sum(each.recorded for each in strata),
    )


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement of two people on the same photos."""

    photos: int
    share: float  # of photos with the same label
    kappa: float  # 1: always; 0: as often as by chance
    interval: Interval  # 95 %, of kappa


def cohens_kappa(one: Sequence[str], other: Sequence[str]) -> Agreement:
    """Returns the agreement of two people beyond chance (Cohen, 1960). Raises ValueError without photos.

    The interval is that of Fleiss, Cohen & Everitt (Psychological Bulletin 1969). Its width is 0 if they always or
    never agree: then Wilson's interval of the share of equal labels is used, less chance. If both use the same one
    label for all photos, kappa is not defined; they agree, so it is 1, with the widest interval.
    """
    labels = sorted({*one, *other})
    if not labels or len(one) != len(other):
        raise ValueError("agreement needs at least one photo with the labels of two people")
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
    low, high = kappa - Z95 * error, kappa + Z95 * error
    if seen in (0.0, 1.0):
        low, high = ((limit - chance) / (1 - chance) for limit in wilson_interval(seen * len(one), len(one)))
    return Agreement(photos=len(one), share=seen, kappa=kappa, interval=(max(-1.0, low), min(1.0, high)))
