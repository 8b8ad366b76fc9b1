"""The state machine `start` in the interpreter."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from infra.pipeline import trigger_machine
from infra.pipeline.trigger_machine import TriggerFacts
from tests.infra.pipeline import lifecycle_jobs
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
        if self.started.get(name, arguments["Input"]) != arguments["Input"]:
            # Step Functions answers equal inputs of a running execution with that execution, as if it began now:
            # https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
            raise Refused("StepFunctions.ExecutionAlreadyExistsException")
        self.started[name] = arguments["Input"]
        return {"ExecutionArn": f"{EXECUTIONS}:{name}", "StartDate": "2026-11-30T14:00:00.000Z"}


def play(pipelines: Pipelines, given: Mapping[str, Any], *, name: str = "trigger-1", **changes: Any) -> Ended:
    facts = TriggerFacts(
        pipeline="arn:aws:states:eu-west-1:000000000000:stateMachine:pipeline:live",
        lifecycle=lifecycle_jobs.facts(**changes),
    )
    return run(trigger_machine.definition(facts), dict(given), pipelines, name=name, machine="start")


def event(key: str) -> dict[str, Any]:
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": {"object": {"key": key}}}


def test_the_same_inputs_run_once_whoever_triggers_them():
    pipelines = Pipelines()
    first = play(pipelines, {"dataset": DATASET, "requested_by": "arn:ana"})
    again = play(pipelines, event(f"datasets/{DATASET}.jsonl"), name="trigger-2")
    by_hand = play(pipelines, {"dataset": DATASET, "requested_by": "arn:ana"}, name="trigger-3")
    assert first.output["started"] is True
    assert again.output == {"started": False, "execution": first.output["execution"]}
    assert by_hand.output["started"] is False, "the same person again, while it runs"
    (begun,) = pipelines.started.values()
    assert begun["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"].endswith(":execution:start:trigger-1")
    assert (begun["dataset"], begun["requested_by"]) == (DATASET, "arn:ana")


def test_other_inputs_and_force_are_other_executions():
    pipelines = Pipelines()
    play(pipelines, {"dataset": DATASET})
    play(pipelines, {"dataset": DATASET, "force": "retry-2"})
    play(pipelines, {"dataset": OTHER})
    play(pipelines, {"dataset": DATASET}, recipe="gpu")
    assert len(pipelines.started) == 4
    assert [each.get("force") for each in pipelines.started.values()] == [None, "retry-2", None, None]


@pytest.mark.parametrize(
    "other",
    [{"code": "another"}, {"gates": {"model": {"accuracy": 0.99}}}, {"stack": "another"}],
    ids=["code", "gates", "stack"],
)
def test_a_pipeline_of_other_code_gates_or_stack_is_another_revision(other: Mapping[str, Any]):
    facts = lifecycle_jobs.facts()
    assert trigger_machine.revision(facts) == trigger_machine.revision(lifecycle_jobs.facts())
    assert trigger_machine.revision(replace(facts, **other)) != trigger_machine.revision(facts)
    settings = replace(facts.settings, small_minutes=facts.settings.small_minutes + 1)
    assert trigger_machine.revision(replace(facts, settings=settings)) != trigger_machine.revision(facts)


def test_only_manifests_of_the_stacks_own_lake_are_events_of_it():
    assert trigger_machine.manifest_pattern("lake") == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["lake"]}, "object": {"key": [{"prefix": "datasets/"}]}},
    }


def test_the_newest_manifest_is_the_one_that_was_written_last():
    at = "2026-11-{}T10:00:00Z"
    listing = {
        f"datasets/{letter * 64}.jsonl": at.format(day)
        for letter, day in zip("abcde", ("03", "09", "27", "05", "04"), strict=True)
    }
    listing |= {"datasets/ccc.quality/000001.json": at.format(28), f"datasets/{'f' * 64}.changes/x.json": at.format(29)}
    pipelines = Pipelines(listing)
    assert play(pipelines, {"newest": True}).output["started"]
    assert [given["dataset"] for given in pipelines.started.values()] == ["c" * 64]
    assert play(Pipelines(), {"newest": True}).error == "DatasetMissing"


def test_other_objects_of_the_lake_start_nothing():
    pipelines = Pipelines()
    for key in (
        f"datasets/{DATASET}.changes/{OTHER}.json",
        f"datasets/{DATASET}.quality/000001.json",
        "datasets/x.jsonl",
        f"datasets/{DATASET}.jsonl.part",
        f"old/datasets/{DATASET}.jsonl",
    ):
        assert play(pipelines, event(key)).output["started"] is False
    assert pipelines.started == {}


@pytest.mark.parametrize(
    ("given", "told"),
    [({}, "needs dataset"), ({"dataset": "3fa9"}, "needs dataset"), ({"dataset": DATASET, "epochs": 3}, "epochs")],
)
def test_a_trigger_that_cannot_be_used_ends_with_a_sentence(given: Mapping[str, Any], told: str):
    end = play(Pipelines(), given)
    assert end.error == "InputInvalid"
    assert told in end.cause
