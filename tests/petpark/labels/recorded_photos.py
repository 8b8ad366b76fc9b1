"""Recorded predictions with thumbnails, whose truth is known: the picture of a cat is red, of a dog blue."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from petpark.labels import samples
from petpark.labels.labelling import Labelling
from registry.store.memory_store import MemoryStore
from registry.telemetry import TelemetryPolicy
from serving.inference.loaded_model import Prediction
from serving.recording.observation import Observation
from tests.petpark.conftest import ACCOUNT, Place
from tests.serving.recording.recorded import PHOTO, Recording, loaded

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
NEXT_MONDAY = datetime(2026, 11, 30, tzinfo=UTC)
NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)
COLOURS = {"cat": (205, 60, 50), "dog": (50, 90, 200), "neither": (90, 150, 80)}
POLICY = TelemetryPolicy(sample_percent=100, buffer_mb=16, thumbnails=("gate", "pond"))


def record(
    store: Any, *, photos: int = 40, seed: int = 1, stack: str = "test", policy: TelemetryPolicy = POLICY
) -> None:
    """Record photos of three cameras over the week; barn has no thumbnails, and one answer in ten is wrong."""
    rng = np.random.default_rng(seed)
    recording = Recording(policy=policy, store=store, stack=stack)
    step = (NEXT_MONDAY - MONDAY).total_seconds() / photos
    for number in range(photos):
        recording.now = MONDAY.timestamp() + number * step
        truth = str(rng.choice(["cat", "dog", "neither"], p=[0.5, 0.4, 0.1]))
        said = truth if truth != "neither" and rng.uniform() > 0.1 else str(rng.choice(["cat", "dog"]))
        confidence = float(rng.uniform(0.55, 1.0))
        pixels = np.full((96, 96, 3), COLOURS[truth], np.uint8) + rng.integers(0, 20, (96, 96, 3), dtype=np.uint8)
        other = "dog" if said == "cat" else "cat"
        probabilities = {said: confidence, other: 1 - confidence}
        recording.recorder.record(
            Observation(
                at=recording.now,
                request_id=f"{number:032x}",
                item=0,
                camera=("gate", "pond", "barn")[number % 3],
                model=loaded(3, f"sha256:{'0' * 64}"),
                entry=7,
                arm=None,
                found=Prediction(
                    label=said,
                    probabilities={label: probabilities[label] for label in ("cat", "dog")},
                    seconds=0.01,
                    pixels=pixels,
                    embedding=rng.standard_normal(4, dtype=np.float32),
                ),
                photo=PHOTO,
                latency=0.02,
            )
        )
        recording.flush()


def copied(store: Any) -> MemoryStore:
    """A separate lake with the same objects."""
    copy = MemoryStore()
    for key in store.keys(""):
        copy.create(key, store.get(key))
    return copy


def lake_of(place: Place) -> Any:
    return place.buckets.setdefault("lake", MemoryStore())


def draw(place: Place, *, count: int = 20, stack: str = "test", seed: int = 0) -> Any:
    return samples.draw(
        place.target(stack=stack),
        stack,
        start=MONDAY,
        end=NEXT_MONDAY,
        count=count,
        seed=seed,
        clock=lambda: NOW,
    )


def arn(person: str) -> str:
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/certifier/{person}"


class Ticking:
    """A clock that a second passes on whenever it is read."""

    def __init__(self) -> None:
        self.now = NOW.timestamp()

    def __call__(self) -> datetime:
        self.now += 1
        return datetime.fromtimestamp(self.now, UTC)


def labelling(place: Place, sample: Any, person: str, **options: Any) -> Labelling:
    """A person's actions; others' labels are visible at once."""
    times = iter(range(0, 10**9, 60))
    defaults: dict[str, Any] = {"timer": lambda: float(next(times)), "clock": Ticking()}
    return Labelling(lake_of(place), sample, by=arn(person), **{**defaults, **options})
