"""Which photos a model learns from, is tuned on, and is tested on."""

import hashlib
from enum import StrEnum
from typing import Final


class Split(StrEnum):
    """What a photo is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


TEST_SHARE: Final = 0.2
VALIDATION_SHARE: Final = 0.1


def split_of(seed: int, group: str) -> Split:
    """Give the split of all photos of a group: a pure function, so that added photos never move an old one.

    Photos that resemble each other (one camera's burst, re-encoded copies) belong into one group: on both sides of a
    split they would make the test too easy.
    """
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < TEST_SHARE:
        return Split.TEST
    return Split.VALIDATION if place < TEST_SHARE + VALIDATION_SHARE else Split.TRAIN
