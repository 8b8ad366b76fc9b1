"""What holds for every state machine, whatever the settings are."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from hypothesis import given
from hypothesis import strategies as st
from jsonata import Jsonata

from infra import policies
from infra.configuration.pipeline_settings import EXPECTED, PipelineInvalid, PipelineSettings
from infra.pipeline import graph, job_machine, study_machine, trigger_machine
from infra.pipeline.alarms import action_machine
from infra.pipeline.alarms.action_machine import ActionFacts
from infra.pipeline.asl import following
from infra.pipeline.janitor import janitor_machine
from infra.pipeline.lifecycle import lifecycle_machine
from infra.pipeline.trigger_machine import TriggerFacts
from tests.infra.pipeline import (
    asl_interpreter,
    job_cloud,
    lifecycle_jobs,
    recorded_states,
    test_janitor_machine,
    test_study_machine,
)
from training.search.choice import check_metric

FUNCTIONS = frozenset(cast("Any", Jsonata).static_frame.bindings) | {"hash", "parse", "partition", "range", "uuid"}
"""Names that a variable must not have: it would take a function's place."""

NAMES = ["job", "study", "pipeline", "start", "janitor", "act"]

SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "attempts": st.integers(1, 20),
        "on_demand_fallback": st.booleans(),
        "boot_seconds": st.integers(30, 3600),
        "heartbeat_seconds": st.integers(10, 3600),
        "rounds": st.lists(st.sampled_from(["", "epochs=3", "epochs=9 flips=1"]), min_size=1, max_size=10).map(tuple),
        "search": st.lists(st.sampled_from(["epochs=3", "learning_rate=0.1"]), min_size=3, max_size=27).map(tuple),
        "search_epochs": st.integers(0, 300),
        "canary_percent": st.integers(0, 50),
        "prod_stack": st.sampled_from(["prod", None]),
        "certification_days": st.integers(1, 300),
        "reminder_hours": st.integers(1, 720),
    },
)


def definitions(**changes: Any) -> dict[str, dict[str, Any]]:
    lifecycle = lifecycle_jobs.facts(**changes)
    pipeline = "arn:aws:states:eu-west-1:000000000000:stateMachine:pipeline:live"
    return {
        "job": job_machine.definition(job_cloud.facts(**changes)),
        "study": study_machine.definition(test_study_machine.facts(**changes)),
        "pipeline": lifecycle_machine.definition(lifecycle),
        "start": trigger_machine.definition(TriggerFacts(pipeline=pipeline, lifecycle=lifecycle)),
        "janitor": janitor_machine.definition(test_janitor_machine.FACTS),
        "act": action_machine.definition(
            ActionFacts(
                job="arn:aws:states:eu-west-1:000000000000:stateMachine:job:live",
                start="arn:aws:states:eu-west-1:000000000000:stateMachine:start:live",
                topic="topic",
                tickets="tickets",
                stack="test",
                settings=PipelineSettings(**changes),
            )
        ),
    }


def machines(definition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A state machine, and those within its Map states."""
    yield definition
    for state in definition["States"].values():
        if "ItemProcessor" in state:
            yield from machines(state["ItemProcessor"])


def states(definition: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for machine in machines(definition):
        yield from machine["States"].items()


def reachable(definition: Mapping[str, Any], start: str) -> set[str]:
    found, left = {start}, [start]
    while left:
        for to, _ in following(definition["States"][left.pop()]):
            if to not in found:
                found.add(to)
                left.append(to)
    return found


def is_end(state: Mapping[str, Any]) -> bool:
    return state["Type"] in ("Succeed", "Fail") or bool(state.get("End"))


@given(SETTINGS)
def test_every_path_ends_and_every_state_can_be_reached(changes: Mapping[str, Any]):
    for name, definition in definitions(**changes).items():
        for machine in machines(definition):
            assert reachable(machine, machine["StartAt"]) == set(machine["States"]), name
            for state in machine["States"]:
                assert any(is_end(machine["States"][one]) for one in reachable(machine, state)), (name, state)
        assert definition["TimeoutSeconds"] > 0


@given(SETTINGS)
def test_every_state_that_waits_for_a_token_has_both_limits_and_leads_on_when_they_pass(changes: Mapping[str, Any]):
    waiting = 0
    for definition in definitions(**changes).values():
        for name, state in states(definition):
            if not str(state.get("Resource", "")).endswith(".waitForTaskToken"):
                continue
            waiting += 1
            assert {"HeartbeatSeconds", "TimeoutSeconds"} <= set(state), name
            heartbeat, limit = state["HeartbeatSeconds"], state["TimeoutSeconds"]
            assert isinstance(limit, str) or heartbeat < limit, name
            caught = {error for each in state["Catch"] for error in each["ErrorEquals"]}
            assert {"States.HeartbeatTimeout", "States.Timeout", "States.ALL"} <= caught, name
    assert waiting == 3


@given(SETTINGS)
def test_after_a_launch_every_way_leads_through_the_end_of_the_instances(changes: Mapping[str, Any]):
    definition = definitions(**changes)["job"]
    for name in ("LaunchSpot", "LaunchOnDemand", "Boot", "Run"):
        errors = [to for to, _ in following(definition["States"][name] | {"Next": "FindInstances"}) if to]
        assert set(errors) == {"FindInstances"}, name
    without = {
        name: state for name, state in definition["States"].items() if name not in ("FindInstances", "EndInstances")
    }
    left, found = ["Boot"], {"Boot"}
    while left:
        for to, _ in following(without[left.pop()]):
            if to in without and to not in found:
                found.add(to)
                left.append(to)
    assert not any(is_end(without[name]) for name in found)


@pytest.mark.parametrize("name", NAMES)
def test_a_definition_is_what_aws_takes(name: str):
    definition = definitions(search=("a=1", "a=2", "a=3"))[name]
    for _, state in states(definition):
        # cfn-lint does not know yet that a limit may be an expression: https://states-language.net/spec.html#task-state
        limits = {limit for limit in ("TimeoutSeconds", "HeartbeatSeconds") if isinstance(state.get(limit), str)}
        cast("dict[str, Any]", state).update(dict.fromkeys(limits, 3600))
        if "MaxConcurrency" in state:
            cast("dict[str, Any]", state)["MaxConcurrency"] = 2
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/r", "Definition": definition}
    template = {"Resources": {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}}
    assert [str(found) for found in lint(json.dumps(template), config=ManualArgs(regions=["eu-west-1"]))] == []
    # https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    assert len(json.dumps(definition)) < 1024 * 1024


@pytest.mark.parametrize("name", NAMES)
def test_every_expression_is_jsonata_and_no_variable_hides_a_function(name: str):
    found = 0
    for place, value in _texts(definitions(search=("a=1", "a=2", "a=3"))[name]):
        if value.startswith("{%"):
            Jsonata(value[2:-2])
            found += 1
        else:
            assert "{%" not in value, place
    for _, state in states(definitions()[name]):
        assigned = {name for one in (state, *state.get("Catch", [])) for name in one.get("Assign", {})}
        assert not assigned & FUNCTIONS
    assert found > 10


def test_what_is_kept_of_a_failure_has_a_cause_although_its_error_output_has_none():
    # https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    without = {"errorOutput": {"Error": "States.Timeout"}}
    texts = {
        text
        for place, text in _texts(definitions(search=("a=1", "a=2", "a=3")))
        if "errorOutput" in text and "/Catch/" in place
    }
    assert len(texts) >= 5
    for text in texts:
        kept = asl_interpreter.evaluate(text, without, {})
        assert isinstance(kept, str) or "cause" in kept or kept == {"error": "States.Timeout"}, text


@pytest.mark.parametrize("name", ["job", "pipeline", "start", "janitor"])
def test_scenarios_cover_every_transition_and_every_expression(name: str, monkeypatch: pytest.MonkeyPatch):
    evaluated: set[str] = set()

    def evaluate(text: str, *about: Any) -> Any:
        evaluated.add(text)
        return original(text, *about)

    original = asl_interpreter.evaluate
    monkeypatch.setattr(asl_interpreter, "evaluate", evaluate)
    ways = {(step.state, step.next) for step in recorded_states.interpreted_steps(name)}
    assert recorded_states.arrows(name) - ways == set()
    expressions = {text for _, text in _texts(recorded_states.definitions()[name]) if text.startswith("{%")}
    assert len(expressions) > 10
    assert expressions - evaluated == set()


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, f"{place}/{key}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _texts(each, f"{place}/{number}")


PLACES = policies.ResourceNames(
    model="pets", model_store="store", data_lake="lake", workspace="workspace", encryption_key="e", signing_key="s"
)
_ARN = "arn:aws:states:eu-west-1:123456789012:stateMachine:"
_TEMPLATE = "arn:aws:ec2:eu-west-1:123456789012:launch-template/lt-1"
ROLES = {
    "job": policies.run_jobs(places=PLACES, templates=[_TEMPLATE], subnets=["subnet"], roles=["role"]),
    "study": policies.run_study(places=PLACES, job=f"{_ARN}job"),
    "pipeline": policies.run_pipeline(places=PLACES, machines=[f"{_ARN}job", f"{_ARN}study"], topic="topic"),
    "start": policies.start_pipeline(places=PLACES, pipeline=f"{_ARN}pipeline"),
    "janitor": policies.clean_up(places=PLACES, template=_TEMPLATE, job=f"{_ARN}job", namespace="petpark"),
    "act": policies.act_on_alarms(job=f"{_ARN}job", start=f"{_ARN}start", topics=["topic", "tickets"]),
}
ACTIONS = {
    "aws-sdk:s3:listObjectsV2": ["s3:ListBucket"],
    "aws-sdk:ec2:createFleet": ["ec2:CreateFleet", "ec2:RunInstances", "ec2:CreateTags", "iam:PassRole"],
    "aws-sdk:sfn:describeExecution": ["states:DescribeExecution"],
    "states:startExecution": ["states:StartExecution"],
    "states:startExecution.sync:2": [
        *("states:StartExecution", "states:DescribeExecution", "states:StopExecution"),
        *("events:PutTargets", "events:PutRule", "events:DescribeRule"),
    ],
    "sns:publish": ["sns:Publish"],
}
"""What tasks need, where it is not the action of the same name.
https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html"""


@pytest.mark.parametrize("name", NAMES)
def test_a_state_machines_role_may_do_what_its_tasks_do_and_nothing_else(name: str):
    needed: set[str] = set()
    for _, state in states(definitions(search=("a=1", "a=2", "a=3"))[name]):
        if state["Type"] == "Task":
            call = state["Resource"].removeprefix("arn:aws:states:::").removesuffix(".waitForTaskToken")
            service, action = call.split(":")[-2:]
            needed |= set(ACTIONS.get(call, [f"{service}:{action[0].upper()}{action[1:]}"]))
            if action == "getObject" and state["Arguments"]["Bucket"] == "store":
                needed.add("kms:Decrypt")  # the only bucket with a key of its own: infra.storage
    # S3 says that a key is missing only to those who may list; an upload in parts is ended by the same permission.
    granted = {action for statement in ROLES[name]["Statement"] for action in statement["Action"]}
    assert granted - needed - {"s3:ListBucket", "s3:AbortMultipartUpload"} == set(policies.deliver_logs()["Action"])
    assert needed - granted == set()


def test_the_drawn_graphs_are_those_of_the_definitions():
    text = graph.PAGE.read_text()
    assert graph.page(text) == text, "python -m infra.pipeline.graph writes them anew"
    assert "Train --> Gates" in text


def test_settings_read_back_as_they_are_written_and_defaults_fill_the_rest():
    assert PipelineSettings.from_dict({}) == PipelineSettings()
    given = {"small_types": ["t3.large"], "rounds": ["", "views=9"], "schedule": "rate(7 days)", "prod_stack": "none"}
    read = PipelineSettings.from_dict(given)
    assert (read.rounds, read.schedule, read.prod_stack) == (("", "views=9"), "rate(7 days)", None)
    assert set(EXPECTED) == set(PipelineSettings.__dataclass_fields__)


@pytest.mark.parametrize(
    "wrong",
    [
        {"unknown": 1},
        {"boot_seconds": 10},
        {"boot_seconds": "1200"},
        {"boot_seconds": True},
        {"small_types": ["g5.xlarge"]},
        {"small_types": []},
        {"small_types": ["c7i.large", "c7g.large"]},
        {"rounds": ['epochs="3"']},
        {"rounds": []},
        {"schedule": "every day"},
        {"drift_stacks": [["test"]]},
        {"drift_stacks": ["test", "test"]},
        {"report_zone": "localtime"},
        {"report_zone": "posix/Europe/Madrid"},
        {"report_zone": "Factory"},
        {"reminder_hours": 25, "certification_days": 1},
        {"job_usd": 100},
        {"search_epochs": 9},
        {"search": ["epochs=1"] * 28},
        {"rounds": ["epochs=3", "epochz=9"]},
        {"search": ["learning_rat=0.1"]},
        {"recipe": "transferr"},
    ],
)
def test_settings_that_cannot_be_used_are_refused_with_what_was_expected(wrong: Mapping[str, Any]):
    with pytest.raises(PipelineInvalid) as refused:
        PipelineSettings.from_dict(wrong)
    assert any(name in str(refused.value) for name in wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rounds": ["epochz=9"]}, "^rounds 'epochz=9', with recipe transfer: 'epochz=9' is not a setting; use name="),
        (
            {"recipe": "gpu", "rounds": ["", "epochs=abc"]},
            "rounds 'epochs=abc', with recipe gpu: epochs needs a value of",
        ),
        ({"rounds": ["epochs=40"]}, "rounds 'epochs=40', with recipe transfer: epochs changes nothing where a linear"),
        ({"search": ["views=9999"]}, "search 'views=9999', with recipe transfer: views must be from 0 to 64, not 9999"),
        (
            {"search": ["views=1", "views=2", "views=3"], "search_epochs": 9},
            "search 'views=1', .* epochs changes nothing",
        ),
        ({"search": ["frozen=0"], "rounds": ["architecture=vgg"]}, "rounds 'architecture=vgg' after search 'frozen=0'"),
        ({"search_metric": "goodness"}, "expected balanced_accuracy, accuracy, or recall_ and a class"),
    ],
)
def test_settings_that_every_training_would_refuse_are_refused_before_anything_is_deployed(
    wrong: Mapping[str, Any], said: str
):
    with pytest.raises(PipelineInvalid, match=said):
        PipelineSettings.from_dict(wrong)


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "recall_dog", "recall_red panda"])
def test_every_metric_that_trials_can_be_chosen_by_is_accepted(metric: str):
    check_metric(metric, ["cat", "dog", "red panda"])
    assert PipelineSettings.from_dict({"search_metric": metric}).search_metric == metric


def test_a_search_may_choose_what_its_rounds_need():
    read = PipelineSettings.from_dict({"search": ["frozen=0"], "rounds": ["epochs=9"]})
    assert (read.search, read.rounds) == (("frozen=0",), ("epochs=9",))
