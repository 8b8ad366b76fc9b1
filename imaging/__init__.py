"""JPEG bytes to pixels: the one decode that training and serving share."""

from imaging.decoding import MAX_DECODED_BYTES, MAX_PIXELS, decode
from imaging.errors import PhotoError, PhotoTooLarge, PhotoUnreadable
from imaging.measures import (
    InputStatistics,
    PhotoMeasures,
    captured_at,
    input_statistics,
    measure,
    perceptual_hash,
    photo_size,
)

__all__ = [
    "MAX_DECODED_BYTES",
    "MAX_PIXELS",
    "InputStatistics",
    "PhotoError",
    "PhotoMeasures",
    "PhotoTooLarge",
    "PhotoUnreadable",
    "captured_at",
    "decode",
    "input_statistics",
    "measure",
    "perceptual_hash",
    "photo_size",
]
