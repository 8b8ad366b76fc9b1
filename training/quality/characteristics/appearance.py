"""The few numbers per photo that a report compares, so that no pixels need to be kept. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from training.quality.characteristics.texture import statistics

type Numbers = npt.NDArray[np.float32]
type Pixels = npt.NDArray[np.uint8]

SIDE: Final = 16
"""Side of the grey thumbnails, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """One row per photo."""

    colour: Numbers
    """[N] mean distance of the channels from their mean, 0 for a grey photo."""
    texture: Numbers
    """[N, 7] as `texture.statistics` returns it."""
    small: Numbers | None
    """[N, 16, 16] mean brightness in a grid, 0 to 255; None if photos are not compared."""

    @classmethod
    def of(cls, batches: Iterable[Pixels], *, small: bool = False) -> Self:
        """Computed from batches of photos [n, S, S, 3], at least one. `small`: also thumbnails, 1 KB per photo."""
        found = [(_colour(some), statistics(some), small_of(some) if small else None) for some in batches]
        pictures = [each for _, _, each in found if each is not None]
        return cls(
            colour=np.concatenate([each for each, _, _ in found]),
            texture=np.concatenate([each for _, each, _ in found]),
            small=np.concatenate(pictures) if pictures else None,
        )


def small_of(pixels: Pixels) -> Numbers:
    """Mean brightness [n, 16, 16] of photos [n, S, S, 3]."""
    side = pixels.shape[1] // SIDE * SIDE
    small = np.empty((len(pixels), SIDE, SIDE), dtype=np.float32)
    for place, each in enumerate(pixels):
        grey = each[:side, :side].astype(np.float32).mean(axis=2)
        small[place] = grey.reshape(SIDE, side // SIDE, SIDE, side // SIDE).mean(axis=(1, 3))
    return small


def _colour(pixels: Pixels) -> Numbers:
    """Computed photo by photo, to limit memory."""
    found = np.empty(len(pixels), dtype=np.float32)
    for place, each in enumerate(pixels):
        rgb = each.astype(np.float32) / 255
        found[place] = np.abs(rgb - rgb.mean(axis=2, keepdims=True)).mean()
    return found
