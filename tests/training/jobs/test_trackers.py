"""Trackers hear every epoch where they are asked for, and never stop a training."""

import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training.conftest import ASKER
from training.jobs.job import JobSpec
from training.jobs.trackers import tracked

SPEC = JobSpec(dataset="d" * 64, seed=1, requested_by=ASKER)
EPOCH = {"epoch": 2, "of": 3, "accuracy": 0.9, "usage": {"cpu_cores": 1.5}}


@pytest.fixture
def said() -> list[str]:
    return []


def tell(said: list[str]) -> Any:
    def say(event: str, facts: Mapping[str, object]) -> None:
        said.append(f"{event} {facts.get('tracker', '')}".strip())

    return tracked(say, "job", SPEC)


def test_without_a_variable_nothing_is_tracked(said: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("TENSORBOARD_LOGDIR", raising=False)
    tell(said)("epoch", EPOCH)
    assert said == ["epoch"]


def test_a_tracker_that_is_not_installed_is_named_once(said: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    say = tell(said)
    say("epoch", EPOCH)
    assert said == ["not tracked MLflow", "epoch"]


@pytest.mark.parametrize("known", [True, False])
def test_mlflow_hears_numbers_by_epoch_and_a_resumed_job_keeps_its_run(
    said: list[str], monkeypatch: pytest.MonkeyPatch, known: bool
):
    heard = list[Any]()
    runs = [SimpleNamespace(info=SimpleNamespace(run_id="r1"))] if known else []
    mlflow = SimpleNamespace(
        set_experiment=lambda _name: None,
        search_runs=lambda **_how: runs,
        start_run=lambda run_id, run_name: heard.append((run_id, run_name)),
        log_params=lambda parameters: heard.append(parameters["architecture"]),
        log_metrics=lambda numbers, step: heard.append((step, numbers)),
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    tell(said)("epoch", EPOCH)
    began: list[Any] = [("r1", "job")] if known else [(None, "job"), "resnet8"]
    assert heard == [*began, (2, {"of": 3.0, "accuracy": 0.9, "cpu_cores": 1.5})]


def test_a_tracker_that_breaks_is_given_up_and_said(said: list[str], monkeypatch: pytest.MonkeyPatch):
    class Writer:
        def __init__(self, _directory: str) -> None: ...

        def add_scalar(self, *_what: object) -> None:
            raise OSError("disk full")

    monkeypatch.setenv("TENSORBOARD_LOGDIR", "/nowhere")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    say = tell(said)
    say("epoch", EPOCH)
    say("epoch", EPOCH)
    assert said == ["epoch", "not tracked TensorBoard", "epoch"]
