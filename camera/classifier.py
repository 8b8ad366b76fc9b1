"""Client of the endpoint: one request per frame, without retries, because the next frame is newer."""

import asyncio
import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from PIL import Image

from registry.telemetry import CAMERA_HEADER
from registry.versions.abstention import NEITHER

_CONNECT_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
_LONGEST_PAUSE = 10.0
_LONGEST_SIDE = 1280
"""Larger frames are scaled down: the endpoint uses a few hundred pixels, and JPEG encoding costs time per pixel."""
_QUALITY = 90


class NoAnswer(Exception):
    """The endpoint did not classify a frame. `pause`: seconds until the next request (its Retry-After)."""

    def __init__(self, reason: str, *, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The endpoint's prediction."""

    label: str
    probabilities: Mapping[str, float]
    model: Mapping[str, Any]


class KeyFile:
    """The endpoint's API key, in a file that only the agent may read, not in settings or on a command line.

    It is read again after the endpoint refused it, so a rotated key needs no restart.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = ""

    def read(self) -> str:
        """Returns the key. Raises `NoAnswer` if the file has none."""
        if not self._key:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                self._key = self._path.read_text(encoding="ascii").strip()
            if not self._key.isprintable() or not self._key:
                self._key = ""
                raise NoAnswer(f"{self._path} has no readable API key")
        return self._key

    def forget(self) -> None:
        """Read the file again before the next request."""
        self._key = ""


class Classifier:
    """One camera's connection to the endpoint, which records its predictions for `camera`; not thread-safe."""

    def __init__(
        self,
        endpoint: str,
        *,
        camera: str | None = None,
        key: KeyFile | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        self._key = key
        self._seconds = answer_seconds
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            base_url=endpoint,
            timeout=httpx.Timeout(answer_seconds, connect=_CONNECT_SECONDS),
            headers={"content-type": "image/jpeg"} | ({} if camera is None else {CAMERA_HEADER: camera}),
            transport=transport,
            trust_env=False,
        )

    def classify(self, photo: bytes) -> Answer:
        """Returns the prediction for one JPEG. Raises `NoAnswer`."""
        headers = {} if self._key is None else {"authorization": f"Bearer {self._key.read()}"}
        try:
            response = self._runner.run(self._ask(photo, headers))
        except (httpx.HTTPError, TimeoutError) as error:
            raise NoAnswer(f"the endpoint does not respond: {type(error).__name__}") from None
        if response.status_code != 200:
            raise self._refused(response)
        return _answer(response)

    def close(self) -> None:
        """Close the connection; may be called more than once."""
        if not self._client.is_closed:
            self._runner.run(self._client.aclose())
        self._runner.close()

    async def _ask(self, photo: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Returns the response, within a deadline for all of it: httpx's timeout is per chunk."""
        async with asyncio.timeout(self._seconds):
            return await self._client.post("/v1/classify?abstain=true", content=photo, headers=headers)

    def _refused(self, response: httpx.Response) -> NoAnswer:
        status = response.status_code
        if status == 401:
            if self._key is None:
                return NoAnswer("the endpoint requires an API key (401): name a file with one, api_key_file")
            self._key.forget()
            return NoAnswer("the endpoint does not know the API key (401)")
        pause = _seconds(response.headers.get("retry-after")) if status in {429, 503} else 0.0
        return NoAnswer(f"the endpoint returned {status}", pause=pause)


def photo_of(image: VideoFrame) -> bytes:
    """Returns a frame as JPEG for the endpoint, at most 1,280 pixels on its longer side."""
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
        if (document.get("abstention") or {}).get("answer") == NEITHER:  # no visitor: counts against every class
            probabilities = dict.fromkeys(probabilities, 0.0)
        return Answer(
            label=str(document["label"]),
            probabilities=MappingProxyType(probabilities),
            model=MappingProxyType(dict(document["model"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoAnswer(f"the URL is not a petpark endpoint: {error!r:.80}") from None


def _seconds(text: str | None) -> float:
    try:
        return min(_LONGEST_PAUSE, max(0.0, float(text or 0)))
    except ValueError:
        return 0.0
