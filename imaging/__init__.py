"""JPEG bytes to pixels: the one decode that training and serving share."""

from imaging.decoding import MAX_DECODED_BYTES, MAX_PIXELS, decode
from imaging.errors import PhotoError, PhotoTooLarge, PhotoUnreadable
from imaging.input_statistics import INPUT_STATISTICS, InputStatistics, input_statistics, photo_size
from imaging.measures import PhotoMeasures, captured_at, measure, perceptual_hash

__all__ = [
    "INPUT_STATISTICS",
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
