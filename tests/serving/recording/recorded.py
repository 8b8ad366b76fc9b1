"""Predictions to record without a model, and their stored records."""

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from arro3.io import read_parquet
from PIL import Image

from registry.errors import StoreUnavailable
from registry.store.memory_store import MemoryStore
from registry.telemetry import TelemetryPolicy
from serving.inference.loaded_model import LoadedModel, Prediction
from serving.recording.observation import Observation
from serving.recording.recorder import Recorder
from serving.telemetry import Metrics

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC).timestamp()


def loaded(version: int, digest: str) -> LoadedModel:
    """What recording needs of a loaded model."""
    identity = {"name": "pets", "version": version, "digest": digest}
    return cast(LoadedModel, SimpleNamespace(identity=identity, labels=("cat", "dog"), max_pixels=50_000_000))


_MODEL = loaded(3, f"sha256:{'0' * 64}")
_PHOTO = io.BytesIO()
Image.new("RGB", (64, 48), "teal").save(_PHOTO, "PNG")
PHOTO = _PHOTO.getvalue()


_RANDOM = np.random.default_rng(1)
_PIXELS = _RANDOM.integers(0, 256, (16, 16, 3), dtype=np.uint8)


def _found(dimensions: int) -> Prediction:
    return Prediction(
        label="cat",
        probabilities={"cat": 0.75, "dog": 0.25},
        seconds=0.01,
        pixels=_PIXELS,
        embedding=_RANDOM.standard_normal(dimensions, dtype=np.float32),
    )


@dataclass
class Recording:
    """A recorder with a clock that the test moves."""

    policy: TelemetryPolicy = field(default_factory=lambda: TelemetryPolicy(sample_percent=100, buffer_mb=16))
    now: float = NOON
    store: Any = field(default_factory=MemoryStore)
    stack: str = "prod"

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.recorder = Recorder(
            self.policy,
            self.store,
            stack=self.stack,
            channel=self.stack,
            instance="host",
            metrics=self.metrics,
            clock=lambda: self.now,
        )

    def see(
        self,
        number: int = 0,
        *,
        camera: str = "gate",
        dimensions: int = 8,
        photo: bytes | None = None,
        model: Any = _MODEL,
        entry: int = 7,
        arm: str | None = None,
    ) -> None:
        """Record one prediction, now."""
        self.recorder.record(
            Observation(
                at=self.now,
                request_id=f"{number:032x}",
                item=0,
                camera=camera,
                model=model,
                entry=entry,
                arm=arm,
                found=_found(dimensions),
                photo=PHOTO if photo is None else photo,
                latency=0.02,
            )
        )

    def upload_all(self) -> None:
        while self.recorder.upload() == 0.0:
            pass

    def flush(self) -> None:
        self.recorder.take()
        self.recorder.write(everything=True)
        self.upload_all()

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"petpark_telemetry_{name}_total", labels) or 0.0


class OutageStore(MemoryStore):
    """A store that can be away."""

    away = False

    def create(self, key: str, body: bytes) -> None:
        if self.away:
            raise StoreUnavailable(f"write {key}", "the network is down")
        super().create(key, body)


def ids_of(store: Any) -> list[str]:
    """The ids of all recorded predictions of a store."""
    tables = (read_parquet(io.BytesIO(store.get(key))).read_all() for key in store.keys("telemetry/"))
    return [each for table in tables for each in table["id"].to_pylist()]


def rows_of(store: Any) -> list[dict[str, Any]]:
    """All recorded predictions of a store, each with its key."""
    rows: list[dict[str, Any]] = []
    for key in store.keys("telemetry/"):
        table = read_parquet(io.BytesIO(store.get(key))).read_all()
        columns = {name: table[name].to_pylist() for name in table.column_names}
        rows += [
            {"key": key} | dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
        ]
    return rows
