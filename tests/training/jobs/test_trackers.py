"""Trackers hear every epoch where they are asked for, and never stop a training."""

import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training.conftest import REQUESTER
from training.job import JobSpec
from training.jobs.trackers import tracked

SPEC = JobSpec(dataset="d" * 64, seed=1, requested_by=REQUESTER)
EPOCH = {"epoch": 2, "of": 3, "accuracy": 0.9, "usage": {"cpu_cores": 1.5}}


@pytest.fixture
def events() -> list[str]:
    return []


def reporter(events: list[str]) -> Any:
    def report(event: str, facts: Mapping[str, object]) -> None:
        events.append(f"{event} {facts.get('tracker', '')}".strip())

    return tracked(report, "job", SPEC)


def test_without_a_variable_nothing_is_tracked(events: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("TENSORBOARD_LOGDIR", raising=False)
    reporter(events)("epoch", EPOCH)
    assert events == ["epoch"]


def test_a_tracker_that_is_not_installed_is_named_once(events: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    report = reporter(events)
    report("epoch", EPOCH)
    assert events == ["not tracked MLflow", "epoch"]


@pytest.mark.parametrize("known", [True, False])
def test_mlflow_gets_numbers_by_epoch_and_a_resumed_job_keeps_its_run(
    events: list[str], monkeypatch: pytest.MonkeyPatch, known: bool
):
    received = list[Any]()
    runs = [SimpleNamespace(info=SimpleNamespace(run_id="r1"))] if known else []
    mlflow = SimpleNamespace(
        set_experiment=lambda _name: None,
        search_runs=lambda **_how: runs,
        start_run=lambda run_id, run_name: received.append((run_id, run_name)),
        log_params=lambda parameters: received.append(parameters["architecture"]),
        log_metrics=lambda numbers, step: received.append((step, numbers)),
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    reporter(events)("epoch", EPOCH)
    began: list[Any] = [("r1", "job")] if known else [(None, "job"), "resnet8"]
    assert received == [*began, (2, {"of": 3.0, "accuracy": 0.9, "cpu_cores": 1.5})]


def test_a_tracker_that_breaks_is_reported_and_disabled(events: list[str], monkeypatch: pytest.MonkeyPatch):
    class Writer:
        def __init__(self, _directory: str) -> None: ...

        def add_scalar(self, *_what: object) -> None:
            raise OSError("disk full")

    monkeypatch.setenv("TENSORBOARD_LOGDIR", "/nowhere")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    report = reporter(events)
    report("epoch", EPOCH)
    report("epoch", EPOCH)
    assert events == ["epoch", "not tracked TensorBoard", "epoch"]
