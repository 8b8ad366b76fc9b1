"""Photos that look the same: re-encoded, resized, or taken a moment later. Pure.

Hashes that differ in at most three bits agree in at least one of four bands of 16 bits (the pigeonhole principle), so
only photos that share a band are compared (multi-index hashing: Norouzi et al., https://arxiv.org/abs/1307.2982).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

NEAR: Final = 3
"""Bits in which near-duplicates may differ. Among 1,641 real photos no two differ in fewer than six."""

_BANDS: Final = NEAR + 1
_PLAIN: Final = 5
"""A hash with so few ones, or zeros, is that of a plain surface (a black night, a covered lens) and says nothing."""

_BITS: Final = 64
_WIDTH: Final = _BITS // _BANDS


class Hashes:
    """Perceptual hashes, to be asked who is near."""

    def __init__(self, perceptual_hashes: Sequence[str]) -> None:
        """16 hexadecimal digits each."""
        self._hashes = np.array([int(text, 16) for text in perceptual_hashes], dtype=np.uint64)
        ones = np.bitwise_count(self._hashes)
        self._telling = (ones > _PLAIN) & (ones < _BITS - _PLAIN)
        shifts = np.arange(_BANDS, dtype=np.uint64) * np.uint64(_WIDTH)
        self._values = (self._hashes[:, None] >> shifts & np.uint64(2**_WIDTH - 1)).astype(np.intp)
        self._bands = [_Band(self._values[:, band], self._telling) for band in range(_BANDS)]

    def near(self, place: int) -> npt.NDArray[np.intp]:
        """Places of the photos that look like the one at `place`, itself included, ascending; none for a plain one."""
        if not self._telling[place]:
            return np.empty(0, dtype=np.intp)
        found = [band.sharing(int(value)) for band, value in zip(self._bands, self._values[place], strict=True)]
        candidates = np.concatenate(found)
        close = np.bitwise_count(self._hashes[candidates] ^ self._hashes[place]) <= NEAR
        return np.unique(candidates[close])

    def distance(self, one: int, other: int) -> int:
        """Bits in which two differ."""
        return int(np.bitwise_count(self._hashes[one] ^ self._hashes[other]))


class _Band:
    """Places by the value of one band."""

    def __init__(self, values: npt.NDArray[np.intp], telling: npt.NDArray[np.bool_]) -> None:
        places = np.flatnonzero(telling)
        self._places = places[np.argsort(values[places], kind="stable")]
        self._starts = np.searchsorted(values[self._places], np.arange(2**_WIDTH + 1))

    def sharing(self, value: int) -> npt.NDArray[np.intp]:
        return self._places[self._starts[value] : self._starts[value + 1]]
