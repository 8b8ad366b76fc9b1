"""What is kept of a picture: little, and of people less. Faces and number plates become blocks that nothing undoes.

The detectors are OpenCV's Haar cascades. They find what looks into the camera, and miss profiles, covered and turned
faces: `docs/design/camera.md` has figures. Two things stand behind them. A kept picture is small, so that a face which
was missed is unrecognisable unless it fills a good part of it; and `Blur.EVERYTHING` makes blocks of the whole.
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
"""Pictures are searched at this width; a face below 20 of these pixels is below 8 pixels of what is kept."""
KEPT_WIDTH = 192
_QUALITY = 80
_MARGIN = 0.35
"""Share of its size that a found area grows by on each side: hair and ears recognise people too."""
_BLOCKS = 4
"""Blocks across a hidden area: 48 numbers remain of it, whatever its size."""
_EVERYTHING = (16, 9)
_FINE, _FAST = 1.1, 1.2
"""Factor between the sizes that are searched; the cascade of frontal faces earns the finer one."""
_SMALLEST_FACE = 20
_SMALLEST_PLATE = (30, 10)


class Blur(StrEnum):
    """What is hidden."""

    FOUND = "found"
    """Faces and number plates that the detectors find; the whole picture when they fail."""
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
    """Faces from the front and from both sides, and number plates. Not for several threads at once."""

    def __init__(self) -> None:
        self._frontal = _cascade("haarcascade_frontalface_alt2.xml")
        self._profile = _cascade("haarcascade_profileface.xml")
        self._plates = _cascade("haarcascade_russian_plate_number.xml")
        cv2.setNumThreads(1)  # events are rare; the cores are for decoding and for the endpoint

    def __call__(self, pixels: Pixels) -> list[Area]:
        """Search one picture."""
        grey = np.asarray(cv2.equalizeHist(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)), np.uint8)
        width = grey.shape[1]
        face = (_SMALLEST_FACE, _SMALLEST_FACE)
        found = _search(self._frontal, grey, face, step=_FINE) + _search(self._profile, grey, face, step=_FAST)
        mirrored = _search(self._profile, np.ascontiguousarray(grey[:, ::-1]), face, step=_FAST)
        found += [Area(width - area.left - area.width, area.top, area.width, area.height) for area in mirrored]
        return found + _search(self._plates, grey, _SMALLEST_PLATE, step=_FAST)


def kept_picture(image: Image.Image, *, blur: Blur, detector: Detector) -> bytes:
    """The JPEG that may be stored: small, without metadata, with what identifies people hidden."""
    picture = _at_most(image.convert("RGB"), SEARCH_WIDTH)
    hidden = _coarse(picture, *_EVERYTHING) if blur is Blur.EVERYTHING else _hide_found(picture, detector)
    file = io.BytesIO()
    _at_most(hidden, KEPT_WIDTH).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def shows_people(image: Image.Image, detector: Detector) -> bool:
    """Whether a face or a number plate is found; true if the search fails."""
    try:
        return bool(detector(np.asarray(_at_most(image.convert("RGB"), SEARCH_WIDTH))))
    except Exception:  # whatever a detector fails on
        logger.exception("face and number plate detection unavailable")
        return True


def _hide_found(picture: Image.Image, detector: Detector) -> Image.Image:
    try:
        areas = detector(np.asarray(picture))
    except Exception:  # whatever a detector fails on, an unsearched picture is not kept
        logger.exception("face and number plate detection unavailable; blurring the whole picture")
        return _coarse(picture, *_EVERYTHING)
    hidden = picture.copy()
    for area in areas:
        box = _grown(area, picture.size)
        part = picture.crop(box)
        hidden.paste(_coarse(part, _BLOCKS, _BLOCKS), box[:2])
    return hidden


def _coarse(picture: Image.Image, across: int, down: int) -> Image.Image:
    """A picture of blocks, each the mean of what it hides; the blur only rounds their edges."""
    # Sums of integers are exact, so what differs only below a block leaves no trace at all.
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
