"""A request's observation of a prediction, and the row that another thread makes from it later."""

import io
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from PIL import Image

import imaging
from registry.telemetry import CallerClass, HourPartition, TelemetryPolicy
from serving.inference.loaded_model import LoadedModel, Prediction
from serving.inference.session import Pixels

_OVERHEAD: Final = 1024
"""Bytes of the objects of an observation or a row besides photo, pixels, embedding and thumbnail."""

_THUMBNAIL_SIDE: Final = 96
_THUMBNAIL_QUALITY: Final = 75


@dataclass(kw_only=True, slots=True)  # not frozen: its creation would take three times as long
class Observation:
    """A prediction, with references to objects that are in memory anyway."""

    at: float
    """Seconds since the epoch."""
    request_id: str
    item: int
    camera: str
    """Name of the camera, or a `CallerClass`."""
    model: LoadedModel
    entry: int
    arm: str | None
    found: Prediction
    """With pixels and embedding."""
    photo: bytes | None
    """None if the caller sent a tensor."""
    latency: float

    @property
    def bytes_held(self) -> int:
        """Bytes of memory that it keeps from being freed."""
        found = self.found
        pixels = 0 if found.pixels is None else found.pixels.nbytes
        embedding = 0 if found.embedding is None else found.embedding.nbytes
        return len(self.photo or b"") + pixels + embedding + _OVERHEAD


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a file; the fields are the columns of `registry.telemetry.COLUMNS`."""

    id: str | None
    item: int
    at: datetime
    instance: str
    model: str
    version: int
    digest: str
    channel: str
    entry: int
    arm: str | None
    label: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    strangeness: float | None
    embedding: bytes | None
    brightness: float
    contrast: float
    sharpness: float
    chroma: float
    width: int | None
    height: int | None
    photo_bytes: int | None
    seconds: float
    latency: float
    thumbnail: bytes | None

    @property
    def bytes_held(self) -> int:
        """Bytes of memory that it takes."""
        return (
            _OVERHEAD
            + len(self.id or "")
            + 32 * len(self.probabilities)
            + len(self.embedding or b"")
            + len(self.thumbnail or b"")
        )


@dataclass(frozen=True, kw_only=True)
class RowMaker:
    """Makes rows according to the policy of a stack's endpoint."""

    policy: TelemetryPolicy
    stack: str
    channel: str
    instance: str
    """With a suffix per process, so that no two processes write the same key."""

    def partition(self, seen: Observation) -> HourPartition:
        """Returns the partition of an observation."""
        camera = CallerClass.REDACTED if "camera" in self.policy.redact else seen.camera
        return HourPartition.of(self.stack, camera, datetime.fromtimestamp(seen.at, UTC))

    def row(self, seen: Observation) -> Row:
        """Returns the row, with the photo's statistics and without redacted fields. Raises `imaging.PhotoError`."""
        found, redact = seen.found, self.policy.redact
        if found.pixels is None:
            raise ValueError("a prediction without pixels cannot be recorded")
        width, height = _size(seen)
        statistics = imaging.input_statistics(found.pixels, width=width or 0, height=height or 0)
        identity = seen.model.identity
        embedding = None if found.embedding is None or "embedding" in redact else found.embedding
        return Row(
            id=None if "id" in redact else seen.request_id,
            item=seen.item,
            at=datetime.fromtimestamp(seen.at, UTC),
            instance=self.instance,
            model=identity["name"],
            version=identity["version"],
            digest=identity["digest"],
            channel=self.channel,
            entry=seen.entry,
            arm=seen.arm,
            label=found.label,
            labels=seen.model.labels,
            probabilities=tuple(found.probabilities.values()),
            strangeness=found.strangeness,
            embedding=None if embedding is None else half_precision(embedding),
            brightness=statistics.brightness,
            contrast=statistics.contrast,
            sharpness=statistics.sharpness,
            chroma=statistics.chroma,
            width=width,
            height=height,
            photo_bytes=None if seen.photo is None else len(seen.photo),
            seconds=found.seconds,
            latency=seen.latency,
            thumbnail=_thumbnail(found.pixels) if self.policy.allows_thumbnail(seen.camera) else None,
        )


def _size(seen: Observation) -> tuple[int, int] | tuple[None, None]:
    """Width and height of the photo; unknown for a tensor, which has the model's input size."""
    return (None, None) if seen.photo is None else imaging.photo_size(seen.photo, max_pixels=seen.model.max_pixels)


def half_precision(values: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> bytes:
    """Returns numbers as IEEE 754 half-precision, little-endian; too large values become the largest number."""
    largest = float(np.finfo(np.float16).max)
    return np.clip(values, -largest, largest).astype("<f2").tobytes()


def _thumbnail(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    side = min(_THUMBNAIL_SIDE, math.isqrt(pixels.shape[0] * pixels.shape[1]))
    Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX).save(file, "JPEG", quality=_THUMBNAIL_QUALITY)
    return file.getvalue()
