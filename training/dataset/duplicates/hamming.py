"""Pairs of 64-bit hashes that differ in few bits, and their connected components. Exact, in bounded memory. Pure.

Multi-index hashing (Norouzi et al., https://arxiv.org/abs/1307.2982), applied again within every large bucket: two
hashes that differ in at most `NEAR` bits agree in at least one of `NEAR` + 1 bands (the pigeonhole principle), so only
hashes that share a band are compared. A fixed camera's hashes agree in most bits. So the bands are chosen in each
bucket for itself, from the bits that vary in it, and a bucket that its bands do not divide is compared all with all.

Cost and bounds, and what else was considered: docs/design/data.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

NEAR: Final = 3
"""Bits in which near-duplicates may differ. Among 1,641 real photos no two differ in fewer than six."""

BITS: Final = 64

_BANDS: Final = NEAR + 1
_FEW: Final = 32
"""Hashes in a bucket up to which buckets are compared together: numpy's calls would cost more than the comparisons."""
_SOME: Final = 2048
"""Hashes in a bucket up to which choosing bands costs more than comparing all with all."""
_GAIN: Final = 0.5
"""Share of a bucket's comparisons that its bands must save."""
_SAMPLE: Final = 4096
_BLOCK: Final = 1 << 17
"""Comparisons at a time, a megabyte of differences: bounds memory, and fits the processor's cache."""

type Hashes64 = npt.NDArray[np.uint64]
type Places = npt.NDArray[np.intp]
type Pairs = tuple[Places, Places]


@dataclass(frozen=True, kw_only=True)
class _Bucket:
    """Hashes by place, to be paired; pairs that agree in a band of `apart` are not wanted: another bucket has them."""

    places: Places
    apart: tuple[np.uint64, ...]


def near_pairs(hashes: Hashes64) -> Iterator[Pairs]:
    """Yield every pair of distinct `hashes` that differ in at most `NEAR` bits, once, as two arrays of places.

    In blocks of at most some hundred thousand pairs, in no order.
    """
    waiting = [_Bucket(places=np.arange(len(hashes)), apart=())]
    while waiting:
        bucket = waiting.pop()
        if len(bucket.places) <= _SOME:
            yield from _all_with_all(hashes, bucket)
            continue
        bands = _bands(hashes[bucket.places])
        grouped = [_Groups.of(hashes, bucket.places, band) for band in bands]
        if sum(groups.comparisons for groups in grouped) > _GAIN * len(bucket.places) ** 2 / 2:
            yield from _all_with_all(hashes, bucket)
            continue
        for number, groups in enumerate(grouped):
            apart = (*bucket.apart, *bands[:number])
            yield from groups.compare_small(hashes, apart)
            waiting += [_Bucket(places=places, apart=apart) for places in groups.large()]


def near_both_ways(hashes: Hashes64) -> Iterator[Pairs]:
    """Yield the same pairs, each as one and other, and as other and one."""
    for ones, others in near_pairs(hashes):
        yield ones, others
        yield others, ones


def near_lists(hashes: Hashes64, *, most: int) -> tuple[Places, npt.NDArray[np.int32]] | None:
    """List the places near to each of distinct `hashes`, itself among them; None if these are more than `most`.

    The list of place n is `others[starts[n]:starts[n + 1]]`. The pairs are found twice, to count and to list them, so
    that memory holds the lists and little else: 4 bytes for each entry.
    """
    counts = np.ones(len(hashes), dtype=np.intp)
    for ones, _ in near_both_ways(hashes):
        np.add.at(counts, ones, 1)
    starts = np.concatenate([[0], np.cumsum(counts)])
    if starts[-1] > most:
        return None
    others = np.empty(starts[-1], dtype=np.int32)
    others[starts[:-1]] = np.arange(len(hashes))
    free = starts[:-1] + 1
    for ones, found in near_both_ways(hashes):
        order = np.argsort(ones, kind="stable")
        ones, found = ones[order], found[order]
        rank = np.arange(len(ones)) - np.searchsorted(ones, ones)  # among those of the same list
        others[free[ones] + rank] = found
        np.add.at(free, ones, 1)
    return starts, others


def components(hashes: Hashes64) -> Places:
    """Returns for each of distinct `hashes` the lowest place in its connected component of near hashes."""
    lowest = np.arange(len(hashes))
    waiting: list[Pairs] = []
    number = 0
    for ones, others in near_pairs(hashes):
        apart = lowest[ones] != lowest[others]
        if not apart.any():
            continue
        waiting.append((ones[apart], others[apart]))
        number += len(waiting[-1][0])
        if number > len(hashes):  # joining costs a pass over all hashes, whatever the number of pairs
            _join(lowest, waiting)
            waiting, number = [], 0
    _join(lowest, waiting)
    return lowest


def _join(lowest: Places, pairs: list[Pairs]) -> None:
    """Assign both of each pair, and their whole components, the same lowest place."""
    if not pairs:
        return
    ones, others = (np.concatenate(each) for each in zip(*pairs, strict=True))
    while True:
        left, right = lowest[ones], lowest[others]
        apart = left != right
        if not apart.any():
            return
        ones, others, left, right = ones[apart], others[apart], left[apart], right[apart]
        np.minimum.at(lowest, np.maximum(left, right), np.minimum(left, right))
        _flatten(lowest)


def _flatten(lowest: Places) -> None:
    """Point every place to the end of its chain. Places refer only to lower ones, so chains end."""
    while True:
        further = lowest[lowest]
        if np.array_equal(further, lowest):
            return
        lowest[:] = further


def _bands(hashes: Hashes64) -> list[np.uint64]:
    """Masks of the bits that vary among `hashes`, distributed so that every band is equally selective."""
    varying = int(np.bitwise_or.reduce(hashes ^ hashes[0]))
    bits = np.array([bit for bit in range(BITS) if varying >> bit & 1], dtype=np.uint64)
    sample = hashes[:: max(1, len(hashes) // _SAMPLE)]
    shares = np.array([float((sample >> bit & np.uint64(1)).mean()) for bit in bits])
    order = bits[np.argsort(-shares * (1 - shares), kind="stable")]
    turns = [*range(_BANDS), *reversed(range(_BANDS))]
    masks = [0] * _BANDS
    for turn, bit in enumerate(order):
        masks[turns[turn % len(turns)]] |= 1 << int(bit)
    return [np.uint64(mask) for mask in masks]


@dataclass(frozen=True, kw_only=True)
class _Groups:
    """A bucket's places, sorted by the value of a band: a group for each value."""

    places: Places
    starts: Places
    sizes: Places

    @classmethod
    def of(cls, hashes: Hashes64, places: Places, band: np.uint64) -> "_Groups":
        values = hashes[places] & band
        order = np.argsort(values)
        values = values[order]
        starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        return cls(places=places[order], starts=starts, sizes=np.diff(starts, append=len(places)))

    @property
    def comparisons(self) -> float:
        return float((self.sizes * (self.sizes - 1.0)).sum() / 2)

    def large(self) -> Iterator[Places]:
        for group in np.flatnonzero(self.sizes > _FEW):
            yield self.places[self.starts[group] : self.starts[group] + self.sizes[group]]

    def compare_small(self, hashes: Hashes64, apart: tuple[np.uint64, ...]) -> Iterator[Pairs]:
        """Compare within all small groups at once: each hash with those that follow it in its group."""
        ends = np.repeat(self.starts + self.sizes, self.sizes)
        behind = ends - np.arange(len(ends)) - 1
        behind[np.repeat(self.sizes > _FEW, self.sizes)] = 0
        firsts = np.flatnonzero(behind)
        behind = behind[firsts]
        for some in _runs(behind):
            first, times = firsts[some], behind[some]
            ones = np.repeat(first, times)
            others = ones + 1 + np.arange(len(ones)) - np.repeat(np.cumsum(times) - times, times)
            yield from _close(hashes, self.places[ones], self.places[others], apart)


def _runs(counts: Places) -> Iterator[slice]:
    """Cut into runs with some `_BLOCK` in all."""
    total = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + _BLOCK, side="right")))
        yield slice(start, stop)
        start = stop


def _all_with_all(hashes: Hashes64, bucket: _Bucket) -> Iterator[Pairs]:
    """Compare a bucket's hashes in tiles, each with those that follow it."""
    places = bucket.places
    own = hashes[places]
    rows = max(1, _BLOCK // max(1, len(own)))
    for start in range(0, len(own), rows):
        some = own[start : start + rows]
        found = np.flatnonzero(np.bitwise_count(some[:, None] ^ own[None, start:]) <= NEAR)
        left, right = np.divmod(found, len(own) - start)  # quicker than two-dimensional places
        after = right > left  # not itself, and each pair once
        if after.any():
            yield from _close(hashes, places[start + left[after]], places[start + right[after]], bucket.apart)


def _close(hashes: Hashes64, ones: Places, others: Places, apart: tuple[np.uint64, ...]) -> Iterator[Pairs]:
    """Of candidates, the pairs that are near and differ in every band of `apart`."""
    differing = hashes[ones] ^ hashes[others]
    good = np.flatnonzero(np.bitwise_count(differing) <= NEAR)
    for band in apart:
        good = good[differing[good] & band != 0]
    if len(good):
        yield ones[good], others[good]
