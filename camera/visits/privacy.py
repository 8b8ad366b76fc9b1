"""Kept pictures are small, and faces and number plates in them are replaced by coarse blocks, irreversibly.

The detectors are OpenCV's Haar cascades. They find faces that look into the camera, and miss profiles, covered and
turned faces: `docs/design/camera.md` has figures. Two safeguards: a kept picture is small, so that a missed face is
unrecognisable unless it fills much of the picture; and `Blur.EVERYTHING` replaces the whole picture by blocks.
"""

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import cv2.data
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

type Pixels = npt.NDArray[np.uint8]

logger = logging.getLogger(__name__)

SEARCH_WIDTH = 480
"""Width for detection; a face below 20 of these pixels is below 8 pixels in the kept picture."""
KEPT_WIDTH = 192
_QUALITY = 80
_MARGIN = 0.35
"""Share by which a found area is enlarged on each side: hair and ears identify people, too."""
_BLOCKS = 4
"""Blocks across a hidden area: 48 numbers remain of it, for any size."""
_EVERYTHING = (16, 9)
_FINE, _FAST = 1.1, 1.2
"""Scale factor between detection sizes; the cascade for frontal faces gains by the finer one."""
_SMALLEST_FACE = 20
_SMALLEST_PLATE = (30, 10)


class Blur(StrEnum):
    """What is blurred."""

    FOUND = "found"
    """Detected faces and number plates; the whole picture if the detectors fail."""
    EVERYTHING = "everything"


@dataclass(frozen=True)
class Area:
    """A rectangle in pixels."""

    left: int
    top: int
    width: int
    height: int


type Detector = Callable[[Pixels], Sequence[Area]]
"""RGB pixels -> areas to hide."""


class Cascades:
    """Detects frontal faces, profiles from both sides, and number plates. Not thread-safe."""

    def __init__(self) -> None:
        self._frontal = _cascade("haarcascade_frontalface_alt2.xml")
        self._profile = _cascade("haarcascade_profileface.xml")
        self._plates = _cascade("haarcascade_russian_plate_number.xml")
        cv2.setNumThreads(1)  # events are rare; the cores are needed for decoding and for the endpoint

    def __call__(self, pixels: Pixels) -> list[Area]:
        """Returns the areas to hide in one picture."""
        grey = np.asarray(cv2.equalizeHist(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)), np.uint8)
        width = grey.shape[1]
        face = (_SMALLEST_FACE, _SMALLEST_FACE)
        found = _search(self._frontal, grey, face, step=_FINE) + _search(self._profile, grey, face, step=_FAST)
        mirrored = _search(self._profile, np.ascontiguousarray(grey[:, ::-1]), face, step=_FAST)
        found += [Area(width - area.left - area.width, area.top, area.width, area.height) for area in mirrored]
        return found + _search(self._plates, grey, _SMALLEST_PLATE, step=_FAST)


def kept_picture(image: Image.Image, *, blur: Blur, detector: Detector) -> bytes:
    """Returns the JPEG that may be stored: small, without metadata, with faces and number plates hidden."""
    picture = _at_most(image.convert("RGB"), SEARCH_WIDTH)
    hidden = _coarse(picture, *_EVERYTHING) if blur is Blur.EVERYTHING else _hide_found(picture, detector)
    file = io.BytesIO()
    _at_most(hidden, KEPT_WIDTH).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def shows_people(image: Image.Image, detector: Detector) -> bool:
    """Returns whether a face or a number plate is found; true if the detection fails."""
    try:
        return bool(detector(np.asarray(_at_most(image.convert("RGB"), SEARCH_WIDTH))))
    except Exception:  # any detector error
        logger.exception("face and number plate detection unavailable")
        return True


def _hide_found(picture: Image.Image, detector: Detector) -> Image.Image:
    try:
        areas = detector(np.asarray(picture))
    except Exception:  # any detector error: blur everything
        logger.exception("face and number plate detection unavailable; blurring the whole picture")
        return _coarse(picture, *_EVERYTHING)
    hidden = picture.copy()
    for area in areas:
        box = _grown(area, picture.size)
        part = picture.crop(box)
        hidden.paste(_coarse(part, _BLOCKS, _BLOCKS), box[:2])
    return hidden


def _coarse(picture: Image.Image, across: int, down: int) -> Image.Image:
    """A picture of blocks, each the mean of its pixels; the blur only softens their edges."""
    # Sums of integers are exact, so differences within a block leave no trace.
    sums = np.asarray(picture, dtype=np.int64)
    counts = np.ones((picture.height, picture.width, 1), dtype=np.int64)
    for axis, parts in ((0, min(down, picture.height)), (1, min(across, picture.width))):
        starts = np.arange(parts) * sums.shape[axis] // parts
        sums = np.add.reduceat(sums, starts, axis=axis)
        counts = np.add.reduceat(counts, starts, axis=axis)
    means = sums // counts
    blocks = Image.fromarray(means.astype(np.uint8))
    radius = max(1.0, picture.width / across / 3)
    return blocks.resize(picture.size, Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(radius))


def _grown(area: Area, size: tuple[int, int]) -> tuple[int, int, int, int]:
    across, down = round(area.width * _MARGIN), round(area.height * _MARGIN)
    return (
        max(0, area.left - across),
        max(0, area.top - down),
        min(size[0], area.left + area.width + across),
        min(size[1], area.top + area.height + down),
    )


def _at_most(image: Image.Image, width: int) -> Image.Image:
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.BOX)


def _cascade(name: str) -> cv2.CascadeClassifier:
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + name)
    if cascade.empty():
        raise RuntimeError(f"OpenCV came without {name}; install the version that requirements/camera.txt names")
    return cascade


def _search(cascade: cv2.CascadeClassifier, grey: Pixels, smallest: tuple[int, int], *, step: float) -> list[Area]:
    found = cascade.detectMultiScale(grey, scaleFactor=step, minNeighbors=3, minSize=smallest)
    return [Area(int(left), int(top), int(width), int(height)) for left, top, width, height in found]
