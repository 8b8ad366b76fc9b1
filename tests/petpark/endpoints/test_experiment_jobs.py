"""Experiments that are judged by a job of the state machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from petpark.__main__ import app
from petpark.worker.order import Order
from petpark.worker.purposes import dispatch
from registry.channels.channel import Channel
from registry.channels.experiment import Experiment
from registry.store.memory_store import MemoryStore
from tests.petpark.conftest import Place, Serve
from tests.petpark.endpoints.conftest import arm, saw
from tests.petpark.jobs.states import StepFunctions, opener
from tests.petpark.worker.machine import order

# judged by a job of the state machine


@pytest.fixture
def states() -> StepFunctions:
    return StepFunctions()


@pytest.fixture
def watch(place: Place, states: StepFunctions) -> Callable[..., Result]:
    words = ("experiment", "judge", "--channel", "test", "--watch", "--json")
    return lambda: CliRunner().invoke(app, [*words], obj=opener(place, states))


def worker(place: Place) -> Callable[[dict[str, Any]], None]:
    """The state machine: its worker does what the execution's input says, at the second look."""

    def work(execution: dict[str, Any]) -> None:
        given = json.loads(execution["input"])
        assert (given["purpose"], given["machine"]) == ("canary", "small")
        written = order("canary", job=given["job"], max_seconds=given["max_seconds"], **given["inputs"])
        store = place.buckets.setdefault("workspace", MemoryStore())
        dispatch.perform(
            Order.from_json(json.dumps(written).encode()),
            store,
            stop=lambda: None,
            stack="test",
            targets=lambda stack: place.target(stack=stack),
            pause=lambda _seconds: None,
        )
        execution["status"] = "SUCCEEDED"

    return work


def test_a_job_judges_and_what_came_of_it_is_shown(
    place: Place,
    states: StepFunctions,
    serve: Serve,
    watch: Callable[..., Result],
    begun: Experiment,
) -> None:
    looks = iter([arm(50), arm(90), arm(5000), arm(5000)])
    place.urls["test"] = serve(lambda: saw(begun, arm(5000), next(looks)))
    states.on_look = worker(place)
    said = watch()
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)
    assert (told["conclusion"]["outcome"], told["conclusion"]["evidence"]["challenger"]["answers"]) == (
        "promoted",
        5000,
    )
    head = Channel(place.buckets["models"], "pets", "test").head()
    assert head is not None
    assert head.version == 2
    (name,) = (arn.rpartition(":")[2] for arn in states.executions)
    assert name.startswith("canary-")


def test_ctrl_c_leaves_the_job_judging(
    place: Place,
    states: StepFunctions,
    serve: Serve,
    watch: Callable[..., Result],
    begun: Experiment,
) -> None:
    def interrupt(_execution: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    place.urls["test"] = serve(saw(begun, arm(50), arm(50)))
    states.on_look = interrupt
    said = watch()
    assert said.exit_code == 130
    assert "continues to judge" in json.loads(said.stdout)["error"]["message"]
    assert [each["status"] for each in states.executions.values()] == ["RUNNING"]
