"""Photos with a model's answer and the evidence for it, as pictures inside a page."""

import base64
import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from training.dataset.manifest import Photo
from training.networks.export import Numbers, Pixels

SIDE: Final = 132
"""Of the pictures, in pixels."""


@dataclass(frozen=True, kw_only=True)
class GalleryPhoto:
    """One photo with the model's answer, for a person to look at."""

    key: str
    truth: str
    answer: str
    confidence: float
    picture: str  # data URI
    evidence: str  # data URI: where in the photo the evidence for the answer is
    theirs: tuple[str, float] | None = None  # label and probability of the version in prod


def gallery_photo(
    photo: Photo,
    pixels: Pixels,
    *,
    answer: str,
    confidence: float,
    activation: Numbers,
    theirs: tuple[str, float] | None = None,
) -> GalleryPhoto:
    """Show a photo; `pixels` may be of any size, `activation` [h, w] is that of the answer."""
    return GalleryPhoto(
        key=photo.key,
        truth=photo.label,
        answer=answer,
        confidence=confidence,
        picture=data_uri(pixels),
        evidence=data_uri(_lit(pixels, activation)),
        theirs=theirs,
    )


def data_uri(pixels: Pixels) -> str:
    """Put a picture into a page."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _lit(pixels: Pixels, evidence: Numbers) -> Pixels:
    """Darken a photo where there is little evidence for the answer."""
    low, high = float(evidence.min()), float(evidence.max())
    share = (evidence - low) / (high - low or 1.0)
    light = Image.fromarray(share.astype(np.float32)).resize(pixels.shape[1::-1], Image.Resampling.BICUBIC)
    return (pixels * np.clip(0.25 + 0.75 * np.asarray(light), 0, 1)[:, :, None]).astype(np.uint8)
