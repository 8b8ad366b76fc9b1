"""Which photos a model learns from, is tuned on, and is tested on."""

import hashlib
import re
from enum import StrEnum
from typing import Final

from training.dataset.manifest import Photo, Split


class SplitBy(StrEnum):
    """What stays together in one split. Near-duplicates do in any case."""

    CAMERA = "camera"
    """All photos of a camera: the test shows how the model does on unseen cameras. Needs some ten cameras."""
    DAY = "day"
    """All photos of a camera's day: for few cameras."""
    PHOTO = "photo"
    """Nothing but near-duplicates."""


TEST_SHARE: Final = 0.2
VALIDATION_SHARE: Final = 0.1

_HASH: Final = re.compile(r"[0-9a-f]{64}")


def split_of(seed: int, group: str) -> Split:
    """Returns the split of all photos of a group: a pure function, so that added photos never move an old one.

    Photos that resemble each other (one camera's burst, re-encoded copies) belong into one group: on both sides of a
    split they would make the test too easy.
    """
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < TEST_SHARE:
        return Split.TEST
    return Split.VALIDATION if place < TEST_SHARE + VALIDATION_SHARE else Split.TRAIN


def camera_of(photo: Photo) -> str | None:
    """The camera that took a photo; None if the group is only the hash of a burst's first photo."""
    return None if _HASH.fullmatch(photo.group) else photo.group


def unit_of(photo: Photo, by: SplitBy) -> str | None:
    """What this photo shares its split with; None: with its near-duplicates only."""
    camera = camera_of(photo)
    if camera is None or by is SplitBy.PHOTO:
        return None
    if by is SplitBy.DAY and photo.captured_at is not None:
        return f"{camera} {photo.captured_at[:10]}"
    return camera
