"""Measures of a photo without a model: size, light, sharpness, and a hash that survives re-encoding."""

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from imaging.decoding import MAX_PIXELS, decode, open_photo, orientation, pixels_of

_SIDE: Final = 128
_CELLS: Final = tuple(itertools.pairwise(np.linspace(0, _SIDE, 10).round().astype(int).tolist()))
"""Columns of the nine cells in a row of the difference hash."""

LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue: ITU-R BT.601, as in JPEG."""

SIDEWAYS: Final = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, kw_only=True)
class PhotoMeasures:
    """One photo in numbers. Light and sharpness are taken at 128×128 pixels, so that photos of all sizes compare."""

    width: int  # as displayed, EXIF orientation honoured
    height: int
    format: str  # JPEG, PNG or WEBP
    captured_at: str | None  # by the camera's own clock, without time zone, as YYYY-MM-DDTHH:MM:SS
    brightness: float  # mean luma, 0 (black) to 1 (white)
    sharpness: float  # variance of the Laplacian of luma (Pech-Pacheco et al., 2000); below some 0.0005 is blurred
    perceptual_hash: int  # as `perceptual_hash` returns it


def measure(data: bytes, *, max_pixels: int = MAX_PIXELS) -> PhotoMeasures:
    """Measure a photo; decodes it whole, so that a truncated one raises `PhotoUnreadable`."""
    with open_photo(data, max_pixels=max_pixels) as image:
        width, height, kind = image.width, image.height, image.format or ""
        captured_at = _captured_at(image)
        if orientation(image) in SIDEWAYS:
            width, height = height, width
        pixels = pixels_of(image, data, _SIDE)
    light = luma(pixels)
    return PhotoMeasures(
        width=width,
        height=height,
        format=kind,
        captured_at=captured_at,
        brightness=round(float(light.mean()), 4),
        sharpness=round(float(laplacian(light).var()), 6),
        perceptual_hash=_difference_hash(light),
    )


def captured_at(data: bytes, *, max_pixels: int = MAX_PIXELS) -> str | None:
    """Returns when a photo was taken, as `measure` does, without decoding it; PhotoError."""
    with open_photo(data, max_pixels=max_pixels) as image:
        return _captured_at(image)


def perceptual_hash(data: bytes, *, max_pixels: int = MAX_PIXELS) -> int:
    """Returns the photo's 64-bit difference hash: near-duplicates differ in few bits, other photos in about 32."""
    return _difference_hash(luma(decode(data, _SIDE, max_pixels=max_pixels)))


def mirrored_hash(value: int) -> int:
    """Returns the difference hash that the mirror image of a photo with this hash has.

    The cells are symmetric, so what was brighter to the right is now brighter to the left. Cells of equal
    brightness, which a photo hardly has outside of plain surfaces, make a bit differ.
    """
    rows = np.unpackbits(np.frombuffer(value.to_bytes(8, "big"), dtype=np.uint8)).reshape(8, 8)
    return int.from_bytes(np.packbits(1 - rows[:, ::-1]).tobytes(), "big")


def _captured_at(image: Image.Image) -> str | None:
    try:
        text = str(image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal])
        return datetime.strptime(text.strip("\0 "), "%Y:%m:%d %H:%M:%S").isoformat()
    except Exception:  # noqa: BLE001 - missing or broken EXIF only means that the time is not known
        return None


def luma(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Returns the luma of RGB pixels, 0 to 1."""
    return (pixels.astype(np.float32) @ LUMA) / np.float32(255)


def laplacian(luma: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns the discrete Laplacian, without the border: large where neighbours differ."""
    centre = luma[1:-1, 1:-1]
    return luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * centre


def _difference_hash(luma: npt.NDArray[np.float32]) -> int:
    """Returns for 8×8 places whether it is brighter to the right; most significant bit is the top left."""
    rows = luma.reshape(8, _SIDE // 8, _SIDE).mean(axis=1)
    cells = np.empty((8, 9), dtype=np.float32)
    for place, (start, stop) in enumerate(_CELLS):
        np.divide(np.add.reduce(rows[:, start:stop], axis=1), np.float32(stop - start), out=cells[:, place])
    bits = (cells[:, 1:] > cells[:, :-1]).flatten()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
