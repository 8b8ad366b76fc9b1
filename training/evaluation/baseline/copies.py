"""Photos that are a known photo in other bytes: encoded again, resized, mirrored, a little cropped or brightened.

Two photos are copies if their perceptual hashes are near (`training.dataset.duplicates.near_duplicates`),
the one as it is or its mirror image, *and* their pictures agree at every place. The hash alone would take frames of a
fixed camera for copies, since a small animal changes few of its bits. Evidence for the bounds: docs/design/training.md.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from imaging import decode
from imaging.measures import mirrored_hash
from training.dataset.duplicates.near_duplicates import NEAR, Hashes

SAME: Final = 0.1
"""Most that copies differ in brightness, of 0 (black) to 1, at any of 16×16 places."""

MOMENT: Final = timedelta(minutes=1)
"""Photos taken further apart are different photos: a lawn without animals looks the same all day."""

_SIDE: Final = 16
_DECODED: Final = 128
_COMPARED: Final = 8
"""Known photos whose pictures are compared with one photo's, the most alike first."""

type Grid = npt.NDArray[np.float32]
"""Mean brightness of 16×16 places, 0 to 1."""


class PhotoAppearance(Protocol):
    """A photo's looks, as its manifest has them."""

    @property
    def perceptual_hash(self) -> str:
        """16 hexadecimal digits."""
        ...

    @property
    def brightness(self) -> float:
        """Mean, 0 to 1."""
        ...

    @property
    def captured_at(self) -> str | None:
        """YYYY-MM-DDTHH:MM:SS, by the camera's clock."""
        ...


def grid(data: bytes) -> Grid:
    """Returns a photo's small grey picture; raises imaging's `PhotoError`."""
    grey = decode(data, _DECODED).astype(np.float32).mean(axis=2) / np.float32(255)
    step = _DECODED // _SIDE
    return grey.reshape(_SIDE, step, _SIDE, step).mean(axis=(1, 3), dtype=np.float32)


def agree(one: Grid, other: Grid) -> bool:
    """Whether two pictures are the same at every place, upright or mirrored."""
    return bool(min(np.abs(one - other).max(), np.abs(one - other[:, ::-1]).max()) <= SAME)


def find_copies(
    photos: Sequence[PhotoAppearance],
    known: Sequence[PhotoAppearance],
    *,
    grid: Callable[[int], Grid],
    grid_of_known: Callable[[int], Grid | None],
) -> list[int | None]:
    """Returns for each of `photos` the place in `known` of a photo that it is a copy of; None for none.

    `grid` and `grid_of_known` give pictures by place, for few of them; None for one that is not there any more: then
    the hash alone decides.
    """
    upright = [photo.perceptual_hash for photo in photos]
    mirrored = [f"{mirrored_hash(int(text, 16)):016x}" for text in upright]
    hashes = Hashes([*(photo.perceptual_hash for photo in known), *upright, *mirrored])
    found: list[int | None] = []
    for place, photo in enumerate(photos):
        near: dict[int, int] = {}
        for turn in (len(known) + place, len(known) + len(photos) + place):
            for each in map(int, hashes.near(turn)):
                if each < len(known) and _one_moment(photo, known[each]):
                    near[each] = min(near.get(each, NEAR), hashes.distance(turn, each))
        # A fixed camera has many frames of one hash; brightness tells which of them this may be.
        alike = sorted((bits, abs(known[each].brightness - photo.brightness), each) for each, bits in near.items())
        found.append(next((each for _, _, each in alike[:_COMPARED] if _same(grid(place), grid_of_known(each))), None))
    return found


def _same(one: Grid, other: Grid | None) -> bool:
    return other is None or agree(one, other)


def _one_moment(one: PhotoAppearance, other: PhotoAppearance) -> bool:
    """Whether both may have been taken at the same time, as far as known."""
    if one.captured_at is None or other.captured_at is None:
        return True
    try:
        apart = datetime.fromisoformat(one.captured_at) - datetime.fromisoformat(other.captured_at)
    except ValueError:  # manifests promise the form, not that there is such a day
        return True
    return abs(apart) <= MOMENT
