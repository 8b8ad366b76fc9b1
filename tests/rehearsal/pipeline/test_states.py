"""Every state of the definitions in Step Functions' TestState, with mocks: the results equal the interpreter's.

https://docs.aws.amazon.com/step-functions/latest/dg/test-state-isolation.html. The emulator answers, in whose answers
assigned variables are missing: a state is tested with `Assign` moved into its `Output`, which has the same expressions.
States that take no mock take no context either; theirs is a variable. Mocks must have the shape of the API's answers.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from rehearsal.emulator import Emulator
from tests.infra.pipeline.asl_interpreter import Refused, Step
from tests.infra.pipeline.recorded_states import definitions, recorded, states

pytestmark = pytest.mark.rehearsal

STATES = [(machine, state) for machine in definitions() for state in states(machine)]
MOCKED: Final = ("Task", "Map")
RETRIED: Final = 9
"""More often than any state is: what follows is what its catchers do."""


def test_state(client: Any, step: Step, *, retried: int) -> Mapping[str, Any]:
    """What TestState answers to a step, with `output` and `assigned` as values."""
    mocked = step.definition["Type"] in MOCKED
    probe = json.loads(json.dumps(dict(step.definition) | {"QueryLanguage": "JSONata"}))
    _show_assigned(probe, "$states.result" if mocked else "$states.input")
    for catcher in probe.get("Catch", []):
        _show_assigned(catcher, "$states.errorOutput")
    if probe["Type"] == "Wait":  # LocalStack's TestState waits, and then ends with an internal error
        probe = probe | {"Type": "Pass", "Output": probe.pop("Seconds")}
    text, variables = json.dumps(probe), dict(step.variables)
    if mocked:
        more = {"mock": _mock(step), "context": json.dumps(_context(step))}
        more["stateConfiguration"] = {"retrierRetryCount": retried}
    else:
        more = {}
        text, variables = text.replace("$states.context", "$context"), variables | {"context": step.context}
    answer = client.test_state(
        definition=text,
        input=json.dumps(step.input),
        variables=json.dumps(variables),
        inspectionLevel="DEBUG",
        **more,
    )
    shown = json.loads(answer["output"]) if "output" in answer else None
    return answer | (shown if isinstance(shown, dict) and "assigned" in shown else {"output": shown, "assigned": {}})


test_state.__test__ = False  # pyright: ignore[reportFunctionMemberAccess] - named as the call is


def _show_assigned(probe: dict[str, Any], usual: str) -> None:
    if "Assign" in probe:
        output = probe.get("Output", f"{{% {usual} %}}")
        probe["Output"] = {"output": output, "assigned": probe.pop("Assign")}


def _mock(step: Step) -> Mapping[str, Any]:
    if step.refused is not None:
        return {"errorOutput": {"error": step.refused.error, "cause": step.refused.cause}}
    return {"result": json.dumps(step.result)}


def _context(step: Step) -> Mapping[str, Any]:
    """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html"""
    machine = step.context["Execution"]["Id"].replace(":execution:", ":stateMachine:").rpartition(":")[0]
    return {
        **step.context,
        "Execution": {**step.context["Execution"], "Input": {}, "StartTime": step.context["State"]["EnteredTime"]},
        "StateMachine": {"Id": machine, "Name": machine.rpartition(":")[2]},
        "State": {**step.context["State"], "Name": step.state, "RetryCount": 0},
    }


@pytest.mark.parametrize(("machine", "state"), STATES, ids=[f"{machine}-{state}" for machine, state in STATES])
def test_a_state_does_the_same_in_the_emulator_and_in_the_interpreter(machine: str, state: str, emulator: Emulator):
    client = emulator.client("stepfunctions")
    for step in recorded(machine)[state]:
        answer = test_state(client, step, retried=RETRIED)
        assert answer.get("nextState", "") == step.next, answer
        if step.error:
            assert (answer["status"], answer["error"], answer["cause"]) == ("FAILED", step.error, step.cause)
            continue
        assert answer["status"] == ("CAUGHT_ERROR" if step.refused else "SUCCEEDED")
        assert answer["assigned"] == step.assigned
        assert answer["output"] == (step.arguments if step.definition["Type"] == "Wait" else step.output)
        if step.definition["Type"] == "Task":
            assert json.loads(answer["inspectionData"]["afterArguments"]) == step.arguments


RETRIES = {json.dumps(states(machine)[name]["Retry"]): (machine, name) for machine, name in STATES
           if states(machine)[name].get("Retry")}  # fmt: skip
"""A task for each way in which tasks are tried again."""


@pytest.mark.parametrize(("machine", "state"), RETRIES.values(), ids=[name for _, name in RETRIES.values()])
def test_a_task_is_retried_when_its_service_fails_and_not_after_other_errors(
    machine: str, state: str, emulator: Emulator
):
    (step, *_) = recorded(machine)[state]
    for retrier in step.definition["Retry"]:
        (name, *_) = retrier["ErrorEquals"]
        soon = {**step.definition, "Retry": [retrier | {"IntervalSeconds": 1}]}  # the emulator waits until then
        failed = Refused("S3.S3Exception" if name == "States.TaskFailed" else name, "it said no")
        status = test_state(
            emulator.client("stepfunctions"), replace(step, definition=soon, refused=failed), retried=0
        )["status"]
        assert (status == "RETRIABLE") == (retrier["MaxAttempts"] > 0), (retrier, status)
