"""Class activation maps, as numbers and as a picture."""

import base64
import io
from enum import Enum
from typing import Annotated, TypedDict

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image
from starlette.requests import Request

from serving.inference.loaded_model import LoadedModel, Prediction
from serving.inference.session import Pixels
from serving.problems import UNREADABLE, Problem

SIDE = 448
_OPAQUE = 185
"""Opacity of the strongest position, of 255."""


class Explanation(TypedDict, total=False):
    """The members of a response that explain it."""

    activation_map: Annotated[
        dict[str, list[list[float]]],
        msgspec.Meta(description="With explain=true: for each class a grid over the photo, rows from the top"),
    ]
    activation_overlay: Annotated[
        str, msgspec.Meta(description=f"With explain=png: a PNG of {SIDE} pixels a side, as a data: URL")
    ]


class Explain(Enum):
    """Values of the parameter `explain`."""

    NOTHING = ("", "false", "0")
    MAP = ("true", "1")
    PICTURE = ("png",)


def explain_of(request: Request) -> Explain:
    """Returns the parameter `explain`. Raises `Problem` (422)."""
    if not request.scope["query_string"]:
        return Explain.NOTHING
    value = request.query_params.get("explain", "").lower()
    for kind in Explain:
        if value in kind.value:
            return kind
    raise Problem(UNREADABLE, f"The parameter explain is {value!r}; send true, false or png.")


def abstain_of(request: Request) -> bool:
    """Returns the parameter `abstain`. Raises `Problem` (422)."""
    if not request.scope["query_string"]:
        return False
    value = request.query_params.get("abstain", "").lower()
    if value not in {"", "false", "0", "true", "1"}:
        raise Problem(UNREADABLE, f"The parameter abstain is {value!r}; send true or false.")
    return value in {"true", "1"}


def explanation(model: LoadedModel, found: Prediction, explain: Explain) -> Explanation:
    """Returns the members of a response that explain it; empty if not requested."""
    if found.activation_map is None or found.pixels is None:
        return {}
    if explain is Explain.PICTURE:
        picture = overlay(found.pixels, found.activation_map[model.labels.index(found.label)])
        return {"activation_overlay": "data:image/png;base64," + base64.b64encode(picture).decode()}
    maps = np.round(found.activation_map.astype(np.float64), 5).tolist()
    return {"activation_map": dict(zip(model.labels, maps, strict=True))}


def overlay(pixels: Pixels, activation: npt.NDArray[np.float32]) -> bytes:
    """Returns the map of one class [h, w] over the model's input [size, size, 3], as a PNG of `SIDE` pixels a side.

    The opacity is scaled from the map's least to its greatest value: it compares positions of a photo, not photos. The
    colours are those of the endpoint's own page.
    """
    span = float(np.ptp(activation)) or 1.0
    cells = Image.fromarray(((activation - activation.min()) / span).astype(np.float32))
    strength = np.asarray(cells.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).clip(0, 1)[..., np.newaxis]
    photo = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float32)
    heat = np.concatenate([np.full_like(strength, 255), 210 * (1 - strength), np.zeros_like(strength)], axis=-1)
    hidden = strength * (_OPAQUE / 255)
    file = io.BytesIO()
    mixed = photo * (1 - hidden) + heat * hidden
    Image.fromarray(mixed.round().astype(np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()
