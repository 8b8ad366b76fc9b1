"""Triggers and the janitor on paper."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from infra.pipeline import janitor_machine, trigger_machine
from infra.pipeline.trigger_machine import TriggerFacts
from tests.infra.pipeline import test_lifecycle_machine
from tests.infra.pipeline.asl_interpreter import Ended, Refused, run

DATASET = "ab" * 32
OTHER = "cd" * 32
EXECUTIONS = "arn:aws:states:eu-west-1:000000000000:execution:pipeline"


class Pipelines:
    """Step Functions, which knows each name once, and the lake's listing."""

    def __init__(self, listing: Mapping[str, str] | None = None) -> None:
        self.started: dict[str, Any] = {}
        self.listing = dict(sorted((listing or {}).items()))

    def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
        if state == "ListManifests":
            later = [key for key in self.listing if key > arguments["StartAfter"]]
            page = later[:2]
            answer: dict[str, Any] = {"IsTruncated": len(later) > len(page)}
            contents = [{"Key": key, "LastModified": self.listing[key]} for key in page]
            return answer | ({"Contents": contents} if contents else {})
        assert state == "Start"
        name = arguments["Name"]
        assert len(name) <= 80
        if name in self.started:
            raise Refused("StepFunctions.ExecutionAlreadyExistsException")
        self.started[name] = arguments["Input"]
        return {"ExecutionArn": f"{EXECUTIONS}:{name}"}


def play(pipelines: Pipelines, given: Mapping[str, Any], **changes: Any) -> Ended:
    facts = TriggerFacts(
        pipeline="arn:aws:states:eu-west-1:000000000000:stateMachine:pipeline:live",
        lifecycle=test_lifecycle_machine.facts(**changes),
    )
    return run(trigger_machine.definition(facts), dict(given), pipelines, machine="start")


def event(key: str) -> dict[str, Any]:
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": {"object": {"key": key}}}


def test_the_same_inputs_run_once_whoever_triggers_them():
    pipelines = Pipelines()
    first = play(pipelines, {"dataset": DATASET, "requested_by": "arn:ana"})
    again = play(pipelines, event(f"datasets/{DATASET}.jsonl"))
    assert first.output["started"] is True
    assert again.output == {"started": False, "execution": first.output["execution"]}
    assert list(pipelines.started.values()) == [{"dataset": DATASET, "requested_by": "arn:ana"}]


def test_other_inputs_and_force_are_other_executions():
    pipelines = Pipelines()
    play(pipelines, {"dataset": DATASET})
    play(pipelines, {"dataset": DATASET, "force": "retry-2"})
    play(pipelines, {"dataset": OTHER})
    play(pipelines, {"dataset": DATASET}, recipe="gpu")
    assert len(pipelines.started) == 4


def test_the_newest_manifest_is_the_one_that_was_written_last():
    at = "2026-11-{}T10:00:00Z"
    listing = {
        f"datasets/{letter * 64}.jsonl": at.format(day)
        for letter, day in zip("abcde", ("03", "09", "27", "05", "04"), strict=True)
    }
    listing |= {"datasets/ccc.quality/000001.json": at.format(28), f"datasets/{'f' * 64}.changes/x.json": at.format(29)}
    pipelines = Pipelines(listing)
    assert play(pipelines, {"newest": True}).output["started"]
    assert list(pipelines.started.values()) == [{"dataset": "c" * 64}]
    assert play(Pipelines(), {"newest": True}).error == "DatasetMissing"


def test_other_objects_of_the_lake_start_nothing():
    pipelines = Pipelines()
    for key in (
        f"datasets/{DATASET}.changes/{OTHER}.json",
        f"datasets/{DATASET}.quality/000001.json",
        "datasets/x.jsonl",
    ):
        assert play(pipelines, event(key)).output["started"] is False
    assert pipelines.started == {}


@pytest.mark.parametrize(
    ("given", "told"),
    [({}, "needs a dataset"), ({"dataset": "3fa9"}, "needs a dataset"), ({"dataset": DATASET, "epochs": 3}, "epochs")],
)
def test_a_trigger_that_cannot_be_used_ends_with_a_sentence(given: Mapping[str, Any], told: str):
    end = play(Pipelines(), given)
    assert end.error == "InputInvalid"
    assert told in end.cause


class Instances:
    """Instances by id: seconds until the deadline, and the status of the execution that waits for it."""

    def __init__(self, **instances: tuple[int, str]) -> None:
        self.live = instances

    def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
        if state == "Look":
            after = arguments.get("NextToken", "")
            later = [name for name in sorted(self.live) if name > after]
            answer = {"Reservations": [{"Instances": [self._described(name)]} for name in later[:2]]}
            return answer | ({"NextToken": later[1]} if len(later) > 2 else {"NextToken": None})
        if state == "Execution":
            status = self.live[arguments["ExecutionArn"]][1]
            if status == "GONE":
                raise Refused("Sfn.ExecutionDoesNotExistException")
            if status == "SILENT":
                raise Refused("Sfn.SfnException")
            return {"Status": status}
        assert state == "End"
        for name in arguments["InstanceIds"]:
            del self.live[name]
        return {}

    def _described(self, name: str) -> Mapping[str, Any]:
        deadline = str(int(time.time()) + self.live[name][0])
        tags = {"petpark:deadline": deadline, "petpark:execution": name, "petpark:stack": "test"}
        return {"InstanceId": name, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def test_the_janitor_ends_what_is_late_or_has_no_execution_and_nothing_else():
    instances = Instances(
        a=(600, "RUNNING"), b=(-1, "RUNNING"), c=(600, "ABORTED"), d=(600, "GONE"), e=(600, "SILENT"), f=(600, "FAILED")
    )
    end = run(janitor_machine.definition("test"), {}, instances, machine="janitor")
    assert end.status == "SUCCEEDED", end
    assert set(instances.live) == {"a", "e"}
    assert run(janitor_machine.definition("test"), {}, Instances()).status == "SUCCEEDED"
