"""Which placed photos are near to a photo, kept up to date while photos are placed one after the other. Pure.

Kept by hash: what a photo is near to, every photo with its hash is near to.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.duplicates.hamming import NEAR, Places, near_lists
from training.dataset.duplicates.near_duplicates import Hashes

LISTED: Final = 200_000_000
"""Neighbours that are kept in lists, 4 bytes each; beyond that, every look-up compares all hashes."""


class Neighbourhood:
    """Photos of whole components of what looks alike: no photo elsewhere is near to any of them."""

    def __init__(self, hashes: Hashes, looks: Places, *, splits: int, listed: int) -> None:
        """`looks`: which of `hashes.distinct`; up to `listed` neighbours are kept in lists."""
        self.looks = looks
        self._hashes = hashes
        self._distinct = hashes.distinct[looks]
        self._local = np.full(len(hashes.distinct), -1, dtype=np.intp)
        self._local[looks] = np.arange(len(looks))
        self._lists = near_lists(self._distinct, most=listed)
        self._splits = splits
        self.clear()

    def clear(self) -> None:
        """Forget which photos are placed."""
        shape = (len(self.looks), self._splits)
        self._own: npt.NDArray[np.intp] = np.full(shape, len(self._hashes), dtype=np.intp)
        self._first = self._own.copy()

    def put(self, place: int, split: int) -> None:
        """Note that a photo is placed."""
        look = self._look(place)
        if place < self._own[look, split]:
            self._own[look, split] = place
            near = self._near(look)
            self._first[near, split] = np.minimum(self._first[near, split], place)

    def first(self, place: int) -> list[int]:
        """For each split, the first placed photo there that is near to this one; the number of photos if none is."""
        return self._first[self._look(place)].tolist()

    def any_near(self, places: Places) -> npt.NDArray[np.bool_]:
        """Whether placed photos are near to each of these."""
        looks = self._local[self._hashes.looks[places]]
        return self._first[looks].min(axis=1, initial=len(self._hashes)) < len(self._hashes)

    def take_near(self, place: int, waiting: npt.NDArray[np.bool_]) -> Places:
        """Returns the photos near to one that have a `waiting` hash (by `place_of`), ascending, and removes them."""
        near = self._near(self._look(place))
        taken = near[waiting[near]]
        waiting[taken] = False
        found = [self._hashes.photos(int(look)) for look in self.looks[taken]]
        return np.sort(np.concatenate(found)) if found else np.empty(0, dtype=np.intp)

    def place_of(self, places: Places) -> Places:
        """The hashes of photos, by their place in `looks`."""
        return self._local[self._hashes.looks[places]]

    def _look(self, place: int) -> int:
        return int(self._local[self._hashes.looks[place]])

    def _near(self, look: int) -> npt.NDArray[np.integer]:
        """Hashes near to one, itself among them."""
        if self._lists is None:
            return np.flatnonzero(np.bitwise_count(self._distinct ^ self._distinct[look]) <= NEAR)
        starts, others = self._lists
        return others[starts[look] : starts[look + 1]]
