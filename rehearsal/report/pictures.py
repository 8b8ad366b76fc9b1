"""Small pictures inside a page: thumbnails as the model saw the photo, and where it looked."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from imaging import PhotoError, decode

_HEAT = (224, 60, 30)
_OPAQUE = 190


def thumbnail(photo: bytes, size: int) -> str | None:
    """The photo as the model saw it, as a data URI of `size` x `size` pixels; None for bytes that are no photo."""
    try:
        pixels = decode(photo, size)
    except PhotoError:
        return None
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=82)
    return _data_uri("image/jpeg", out.getvalue())


def heat(activation_map: Sequence[Sequence[float]], size: int) -> str | None:
    """A transparent picture to lie over the thumbnail: the stronger the activation, the more it covers.

    Activations below zero speak against the label and are left out; the strongest covers most. None for a map that
    is not a rectangle of finite numbers.
    """
    try:
        values = np.asarray(activation_map, dtype=np.float32)
    except ValueError:
        return None
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        return None
    strength = np.clip(values, 0, None)
    peak = float(strength.max())
    alpha = (strength / peak * _OPAQUE if peak > 0 else strength).astype(np.uint8)
    smooth = Image.fromarray(alpha).resize((size, size), Image.Resampling.BICUBIC)
    picture = Image.new("RGBA", (size, size), (*_HEAT, 0))
    picture.putalpha(smooth)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return _data_uri("image/png", out.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
