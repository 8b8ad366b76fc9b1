"""A rehearsal that went well, without one."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image

from rehearsal.report.stages import StageRecord
from rehearsal.report.steps import StepRecord
from rehearsal.report.summary import Accuracy, Dataset, Prediction, RehearsalFacts, Visit
from rehearsal.report.timeline import Release
from rehearsal.scenario.moves.traffic import TrafficReport


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A resource as an engine reports it."""

    urn: str
    type: str
    name: str
    parent: str = ""
    dependencies: tuple[str, ...] = ()


def component(kind: str, name: str) -> Deployed:
    return Deployed(urn=name, type=f"petpark:infra:{kind}", name=name, parent="stack")


STACK = (
    Deployed(urn="stack", type="pulumi:pulumi:Stack", name="petpark-test"),
    Deployed(urn="provider", type="pulumi:providers:aws", name="default"),
    component("Network", "network"),
    Deployed(urn="vpc", type="aws:ec2/vpc:Vpc", name="vpc", parent="network"),
    Deployed(urn="subnet", type="aws:ec2/subnet:Subnet", name="subnet", parent="network", dependencies=("vpc",)),
    component("ModelStore", "model-store"),
    Deployed(urn="bucket", type="aws:s3/bucket:Bucket", name="bucket", parent="model-store"),
    component("Training", "training"),
    Deployed(urn="machine", type="petpark:infra:Machine", name="training-machine", parent="training"),
    Deployed(urn="role", type="aws:iam/role:Role", name="role", parent="machine", dependencies=("bucket", "subnet")),
    component("Monitoring", "monitoring"),
    Deployed(
        urn="alarm",
        type="aws:cloudwatch/metricAlarm:MetricAlarm",
        name="a",
        parent="monitoring",
        dependencies=("role",),
    ),
    Deployed(urn="loose", type="aws:sns/topic:Topic", name="loose", parent="stack"),
)


def photo(size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 120, 40)).save(out, "JPEG")
    return out.getvalue()


def prediction(**changes: Any) -> Prediction:
    usual: dict[str, Any] = {"name": "cat/1.jpg", "photo": photo(), "truth": "cat", "label": "cat", "probability": 0.93}
    return Prediction(**{**usual, **changes})


def visit(**changes: Any) -> Visit:
    usual: dict[str, Any] = {"label": "dog", "at": "2026-08-02T10:18:04.250000Z", "seconds": 2.84, "score": 0.973}
    usual |= {"why": "left", "version": 2, "picture": photo()}
    return Visit(**{**usual, **changes})


def stage(state: str, **changes: Any) -> StageRecord:
    usual: dict[str, Any] = {"execution": "cdcd-1", "at": 60.0, "seconds": 9.0, "outcome": "passed"}
    usual |= {"job": f"job-{state}", "instance": "i-1", "work": 5.5}
    return StageRecord(state=state, **{**usual, **changes})


type Facts = Callable[..., RehearsalFacts]


@pytest.fixture
def facts() -> Facts:
    usual: dict[str, Any] = {
        "started_at": datetime(2026, 8, 2, 10, 15, tzinfo=UTC),
        "engine": "embedded",
        "steps": [StepRecord(name="deploy stack test", seconds=61.24, ok=True, detail="52 resources")],
        "emulator_url": "http://127.0.0.1:4566",
        "region": "eu-west-1",
        "endpoints": {"test": "http://127.20.0.9:8080", "prod": "http://127.0.0.1:18080"},
        "bucket": "models",
        "model": "pets",
        "version": 1,
        "digest": "sha256:" + "ab" * 32,
        "accuracy": Accuracy(value=0.941, low=0.917, high=0.958, n=512),
        "dataset": Dataset(
            source="generated",
            sha256="cd" * 32,
            photos=1600,
            labels={"cat": 800, "dog": 800},
            splits={"train": 1088, "test": 512},
        ),
        "stacks": {"test": {"region": "eu-west-1"}, "prod": {"region": "eu-west-1"}},
        "resources": {"test": STACK},
        "predictions": [prediction(), prediction(name="dog/2.jpg", truth="dog", label="cat", probability=0.71)],
        "releases": [
            Release(at=150.0, channel="test", version=1, what="promote", answered_after=1.4, why="first"),
            Release(at=160.0, channel="prod", version=1, what="promote", answered_after=2.0, why="certified"),
            Release(at=200.0, channel="prod", version=2, what="promote", answered_after=1.9, why="second"),
            Release(at=210.0, channel="prod", version=1, what="rollback", answered_after=1.7, why="a drill"),
        ],
        "traffic": TrafficReport(answered={1: 700, 2: 300}, failures=()),
    }
    return lambda **changes: RehearsalFacts(**{**usual, **changes})
