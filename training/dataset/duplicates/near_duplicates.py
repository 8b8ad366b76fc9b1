"""Photos that look the same: re-encoded, resized, or taken a moment later. Pure.

A fixed camera takes the same picture many times. So all work is done on distinct hashes, however many photos have them.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.duplicates.hamming import BITS, NEAR, Places, components

_PLAIN: Final = 5
"""A hash with so few ones, or zeros, is that of a plain surface (a black night, a covered lens) and meaningless."""


class Hashes:
    """Perceptual hashes of photos, to be compared. A photo with a plain one looks like no other, nor like itself."""

    def __init__(self, perceptual_hashes: Sequence[str]) -> None:
        """16 hexadecimal digits each."""
        self._all = np.array([int(text, 16) for text in perceptual_hashes], dtype=np.uint64)
        ones = np.bitwise_count(self._all)
        telling = (ones > _PLAIN) & (ones < BITS - _PLAIN)
        self.distinct: npt.NDArray[np.uint64]
        """Every hash that is not plain, once."""
        self.distinct, looks = np.unique(self._all[telling], return_inverse=True)
        self.looks: Places = np.full(len(self._all), -1, dtype=np.intp)
        """For each photo its place in `distinct`; -1 for a plain one."""
        self.looks[telling] = looks

    def __len__(self) -> int:
        return len(self._all)

    def photos(self, look: int) -> Places:
        """Places of the photos with this hash of `distinct`, ascending."""
        return self._sorted[self._starts[look] : self._starts[look + 1]]

    def near(self, place: int) -> Places:
        """Places of the photos that look like the one at `place`, itself included, ascending; none for a plain one.

        Compares every hash: for a few photos only. `hamming.near_pairs` of `distinct` finds all pairs.
        """
        if self.looks[place] < 0:
            return np.empty(0, dtype=np.intp)
        close = np.flatnonzero(np.bitwise_count(self.distinct ^ self._all[place]) <= NEAR)
        return np.sort(np.concatenate([self.photos(int(look)) for look in close]))

    def distance(self, one: int, other: int) -> int:
        """Bits in which two differ."""
        return int(np.bitwise_count(self._all[one] ^ self._all[other]))

    def lowest(self, places: Places) -> Places:
        """For each of `distinct` the lowest of these places whose photo has it; the number of photos if none."""
        found = np.full(len(self.distinct), len(self), dtype=np.intp)
        telling = places[self.looks[places] >= 0]
        np.minimum.at(found, self.looks[telling], telling)
        return found

    @cached_property
    def first(self) -> Places:
        """For each photo the first of all that it looks like, directly or through others; itself for a plain one."""
        first = np.arange(len(self))
        telling = self.looks >= 0
        whole = components(self.distinct)[self.looks[telling]]
        lowest = np.full(len(self.distinct), len(self), dtype=np.intp)
        np.minimum.at(lowest, whole, first[telling])
        first[telling] = lowest[whole]
        return first

    @cached_property
    def _sorted(self) -> Places:
        """Places of photos by hash; within a hash, ascending."""
        order = np.argsort(self.looks, kind="stable")
        return order[np.searchsorted(self.looks[order], 0) :]

    @cached_property
    def _starts(self) -> Places:
        return np.searchsorted(self.looks[self._sorted], np.arange(len(self.distinct) + 1))
