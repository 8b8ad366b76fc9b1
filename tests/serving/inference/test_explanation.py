"""The picture that says where a photo speaks for its class."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from serving.inference.explanation import overlay


def halves(kind: str = "PNG") -> bytes:
    """Left half cat (red), right half a little dog (blue), so that the whole is a cat's."""
    photo = Image.new("RGB", (64, 64), "red")
    photo.paste("blue", (48, 0, 64, 64))
    file = io.BytesIO()
    photo.save(file, kind, **({"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}))
    return file.getvalue()


def picture_in(answer) -> np.ndarray:
    assert answer.status_code == 200
    document = answer.json()
    assert "activation_map" not in document
    kind, _, data = document["activation_overlay"].partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), dtype=float)


@pytest.mark.parametrize(("format", "kind"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
def test_the_overlay_is_hot_where_the_photo_speaks_for_its_class_and_bare_elsewhere(endpoint, format, kind):
    picture = picture_in(endpoint.classify(halves(format), kind, explain="png"))
    assert picture.shape == (448, 448, 3)
    left, right = picture[:, :160].mean(axis=(0, 1)), picture[:, -60:].mean(axis=(0, 1))
    assert left[0] > 240
    assert right[2] > 200, "blue shines through where nothing speaks for a cat"


def test_a_form_gets_its_overlay_too(endpoint):
    answer = endpoint.http.post("/v1/classify", files={"image": ("x.png", halves())}, params={"explain": "png"})
    assert picture_in(answer).shape == (448, 448, 3)


def test_the_page_may_show_it_and_no_other_foreign_content(endpoint):
    policy = endpoint.http.get("/").headers["content-security-policy"]
    assert "img-src 'self' blob:" in policy


def test_a_map_without_differences_covers_nothing():
    pixels = np.full((32, 32, 3), 77, dtype=np.uint8)
    picture = np.asarray(Image.open(io.BytesIO(overlay(pixels, np.zeros((4, 4), dtype=np.float32)))))
    assert (picture == 77).all()


@pytest.mark.parametrize("value", ["PNG", "png"])
def test_the_parameter_is_read_in_any_case(endpoint, value):
    assert "activation_overlay" in endpoint.classify(explain=value).json()
