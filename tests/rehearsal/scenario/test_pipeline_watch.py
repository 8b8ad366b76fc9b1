"""A rehearsal follows a pipeline's history: a step and a record a stage, and what its end means."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from registry.layout.jobs import job_launch_key, job_result_key
from registry.layout.workspace import certification_key
from registry.store.memory_store import MemoryStore
from rehearsal.report.steps import Steps
from rehearsal.scenario.pipeline_watch import PipelineFailed, PipelineWatch
from tests.petpark.conftest import Place
from tests.petpark.jobs.states import AT, OUTPUTS, StepFunctions, opener
from training.job import JobResult

ARN = OUTPUTS["pipeline"].removesuffix(":live").replace("stateMachine", "execution") + ":cdcd-1"
VERA = "arn:aws:sts::000000000000:assumed-role/certifier/vera"


class Execution:
    """The pipeline's execution; a test writes what happened, at seconds since it began."""

    def __init__(self) -> None:
        self.states = StepFunctions()
        self.place = Place()
        self.workspace = self.place.buckets["workspace"] = MemoryStore()
        target = opener(self.place, self.states)()
        self.place.buckets[target.outputs.workspace] = self.workspace
        self.steps = Steps(Console(file=io.StringIO()))
        self.watch = PipelineWatch(target, "cdcd-1", self.steps, started_at=AT)

    def happen(self, second: float, kind: str, **details: Any) -> None:
        self.states.enter(ARN, type=kind, timestamp=AT + timedelta(seconds=second), **details)

    def work(self, begun: float, state: str, ended: float, *, seconds: float, **output: Any) -> None:
        """A stage whose job worked for so many seconds on an instance."""
        job = f"job-{state.lower()}"
        result = JobResult(job=job, status="succeeded", seconds=seconds)
        self.workspace.create(job_result_key(job), result.to_json())
        self.workspace.create(job_launch_key(job, f"{job}-1.1"), json.dumps({"instances": [f"i-{state}"]}).encode())
        self.happen(begun, "TaskStateEntered", stateEnteredEventDetails={"name": state})
        asked = json.dumps({"Input": {"job": job}})
        self.happen(begun, "TaskScheduled", taskScheduledEventDetails={"parameters": asked})
        told = json.dumps({"Output": {"job": job, **output}})
        self.happen(ended, "TaskSucceeded", taskSucceededEventDetails={"output": told})
        self.happen(ended, "TaskStateExited", stateExitedEventDetails={"name": state})


@pytest.fixture
def execution() -> Execution:
    return Execution()


def test_each_stage_is_a_step_and_a_record_with_its_overhead(execution: Execution) -> None:
    execution.work(10, "Train", 50, seconds=33.5, outcome="published", version=3)
    execution.happen(50, "ChoiceStateEntered", stateEnteredEventDetails={"name": "Gates"})
    execution.happen(51, "TaskStateEntered", stateEnteredEventDetails={"name": "WaitForCertification"})
    execution.workspace.create(certification_key("cdcd-1"), json.dumps({"version": 3}).encode())
    execution.watch.follow(until="WaitForCertification")
    assert execution.watch.await_question() == 3
    (train,) = execution.watch.stages
    assert (train.at, train.seconds, train.work, train.overhead) == (10.0, 40.0, 33.5, 6.5)
    assert (train.outcome, train.version, train.instance, train.by) == ("published", 3, "i-Train", "")
    assert [step.name for step in execution.steps.records] == ["pipeline: train and evaluate"]

    execution.watch.certified_by = VERA
    decided = json.dumps({"decision": "certified", "by": VERA})
    execution.happen(70, "TaskSucceeded", taskSucceededEventDetails={"output": decided})
    execution.happen(70, "TaskStateExited", stateExitedEventDetails={"name": "WaitForCertification"})
    execution.work(71, "MoveProd", 75, seconds=1.0, outcome="moved")
    execution.happen(75, "ExecutionSucceeded")
    execution.watch.follow()
    _, wait, move = execution.watch.stages
    assert (wait.outcome, wait.seconds, wait.work, wait.by, wait.instance) == ("certified", 19.0, None, VERA, "")
    assert (move.outcome, move.overhead, move.by) == ("moved", 3.0, "")


def test_a_pipeline_that_ends_between_two_stages_is_a_failed_step_with_its_error(execution: Execution) -> None:
    execution.work(10, "Train", 50, seconds=33.5, outcome="refused", version=4)
    execution.happen(50, "ChoiceStateEntered", stateEnteredEventDetails={"name": "Gates"})
    refused = {"error": "GateRefused", "cause": "too few photos"}
    execution.happen(50, "ExecutionFailed", executionFailedEventDetails=refused)
    with pytest.raises(PipelineFailed, match="cdcd-1 ended with GateRefused: too few photos") as failed:
        execution.watch.follow(until="WaitForCertification")
    assert failed.value.next_step.startswith("Use more photos")
    assert [step.name for step in execution.steps.records if not step.ok] == ["pipeline: run to its end"]
