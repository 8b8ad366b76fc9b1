"""Questions to the endpoint: one frame, one answer, no second try, for the next frame is newer."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import httpx
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from PIL import Image

_CONNECT_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
_LONGEST_PAUSE = 10.0
_LONGEST_SIDE = 1280
"""Frames above it are averaged down first: the endpoint looks at a few hundred pixels, and JPEG costs by the pixel."""
_QUALITY = 90


class NoAnswer(Exception):
    """The endpoint did not classify a frame. `pause`: seconds for which it asked to be left alone."""

    def __init__(self, reason: str, *, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the endpoint said."""

    label: str
    probabilities: Mapping[str, float]
    model: Mapping[str, Any]


class Classifier:
    """One camera's line to the endpoint; not for several threads at once."""

    def __init__(self, endpoint: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(
            base_url=endpoint,
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            headers={"content-type": "image/jpeg"},
            transport=transport,
            trust_env=False,
        )

    def classify(self, photo: bytes) -> Answer:
        """Ask about one JPEG. Raises `NoAnswer`."""
        try:
            response = self._client.post("/v1/classify", content=photo)
        except httpx.HTTPError as error:
            raise NoAnswer(f"the endpoint does not answer: {type(error).__name__}") from None
        if response.status_code != 200:
            pause = _seconds(response.headers.get("retry-after")) if response.status_code == 503 else 0.0
            raise NoAnswer(f"the endpoint answers {response.status_code}", pause=pause)
        return _answer(response)

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def photo_of(image: VideoFrame) -> bytes:
    """A frame as the JPEG that the endpoint is asked about, at most 1,280 pixels on its longer side."""
    scale = min(1.0, _LONGEST_SIDE / max(image.width, image.height))
    size = {"width": max(1, round(image.width * scale)), "height": max(1, round(image.height * scale))}
    rgb = image.reformat(**size, format="rgb24", interpolation=Interpolation.AREA)
    file = io.BytesIO()
    Image.fromarray(rgb.to_ndarray()).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _answer(response: httpx.Response) -> Answer:
    try:
        document = response.json()
        probabilities = {str(label): float(value) for label, value in document["probabilities"].items()}
        return Answer(
            label=str(document["label"]),
            probabilities=MappingProxyType(probabilities),
            model=MappingProxyType(dict(document["model"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoAnswer(f"what answers is no endpoint of petpark: {error!r:.80}") from None


def _seconds(text: str | None) -> float:
    try:
        return min(_LONGEST_PAUSE, max(0.0, float(text or 0)))
    except ValueError:
        return 0.0
