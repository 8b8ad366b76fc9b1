"""JPEG bytes to pixels: the one decode that training and serving share."""

from imaging.decoding import MAX_DECODED_BYTES, MAX_PIXELS, decode
from imaging.errors import PhotoError, PhotoTooLarge, PhotoUnreadable
from imaging.measures import PhotoMeasures, captured_at, measure, perceptual_hash

__all__ = [
    "MAX_DECODED_BYTES",
    "MAX_PIXELS",
    "PhotoError",
    "PhotoMeasures",
    "PhotoTooLarge",
    "PhotoUnreadable",
    "captured_at",
    "decode",
    "measure",
    "perceptual_hash",
]
