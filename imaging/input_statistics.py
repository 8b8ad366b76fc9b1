"""What a photo looks like to a model, in six numbers: serving records them, and training those of validation photos.

Drift is a difference between the two, so there is one function. It works on the pixels that the model sees, which are
there already; the figures of one version compare, those of versions with another image size do not.
"""

import math
from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from imaging.decoding import MAX_PIXELS, open_photo, orientation
from imaging.measures import LUMA, SIDEWAYS, laplacian

INPUT_STATISTICS: Final = ("brightness", "contrast", "sharpness", "chroma", "width", "height")
"""Names of the columns, in the order of `InputStatistics`."""


_WHITE: Final = np.float32(255)


@dataclass(frozen=True, kw_only=True, slots=True)
class InputStatistics:
    """One photo in numbers that need no model."""

    brightness: float  # mean luma, 0 (black) to 1 (white)
    contrast: float  # standard deviation of luma, 0 (one grey) to 0.5 (half black, half white)
    sharpness: float  # variance of the Laplacian of luma (Pech-Pacheco et al., 2000); low where blurred
    chroma: float  # mean of the largest less the smallest channel, 0 (grey, such as infra-red at night) to 1
    width: int  # of the file, as displayed, EXIF orientation honoured
    height: int

    def as_row(self) -> tuple[float, ...]:
        """Returns the numbers in the order of INPUT_STATISTICS."""
        return astuple(self)


def input_statistics(pixels: npt.NDArray[np.uint8], *, width: int, height: int) -> InputStatistics:
    """Describe a photo by its pixels [S, S, 3] as `decode` gives them, and its size as `photo_size` gives it.

    ValueError for pixels of another shape; S is at least 3.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < 3:
        raise ValueError(f"expected pixels [S, S, 3] with S of at least 3, not {list(pixels.shape)}")
    # One copy makes the channels contiguous: numpy is several times as fast on them. This is most of what recording
    # a prediction costs an endpoint.
    red, green, blue = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    light = red * (LUMA[0] / _WHITE)
    light += green * (LUMA[1] / _WHITE)
    light += blue * (LUMA[2] / _WHITE)
    chroma = np.maximum(red, green)
    np.maximum(chroma, blue, out=chroma)
    lowest = np.minimum(red, green)
    chroma -= np.minimum(lowest, blue, out=lowest)
    brightness = light.mean()
    edges = laplacian(light)
    return InputStatistics(
        brightness=float(brightness),
        contrast=math.sqrt(_variance(light, brightness)),
        sharpness=_variance(edges, edges.mean()),
        chroma=float(chroma.sum(dtype=np.uint32)) / chroma.size / 255,
        width=width,
        height=height,
    )


def _variance(values: npt.NDArray[np.float32], mean: np.float32) -> float:
    rest = (values - mean).ravel()
    return float(np.dot(rest, rest)) / rest.size


def photo_size(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Returns a photo's width and height as displayed, without decoding it; PhotoError."""
    with open_photo(data, max_pixels=max_pixels) as image:
        size = image.width, image.height
        return (size[1], size[0]) if orientation(image) in SIDEWAYS else size
