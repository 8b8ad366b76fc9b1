"""Interprets a state machine: a JSONata library evaluates every expression, and a function mocks its tasks.

https://states-language.net/spec.html; what petpark's definitions use of it, and nothing else. Time does not pass.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from jsonata import Jsonata
from jsonata.jexception import JException
from jsonata.utils import Utils

ACCOUNT = "000000000000"
ENTERED = "2026-11-30T14:00:00.000Z"
"""When every state is entered."""
MOST_STEPS = 2_000
_LIMITS = ("TimeoutSeconds", "HeartbeatSeconds")


class Refused(Exception):
    """A task ends with an error."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error)
        self.error, self.cause = error, cause


class Undefined(AssertionError):
    """An expression gave nothing, which ends an execution on AWS (States.QueryEvaluationError)."""


@dataclass(kw_only=True)
class Step:
    """Input and result of a state."""

    state: str
    definition: Mapping[str, Any]
    input: Any
    variables: Mapping[str, Any]
    context: Mapping[str, Any]
    arguments: Any = None
    """Of a task, evaluated; of a wait, its seconds."""
    result: Any = None
    """Of a task or a Map state."""
    refused: "Refused | None" = None
    """The task's error."""
    next: str = ""
    """Empty at an end."""
    output: Any = None
    assigned: Mapping[str, Any] = field(default_factory=dict[str, Any])
    error: str = ""
    """Of a Fail state, or of a task that no catcher takes."""
    cause: str = ""


@dataclass
class Ended:
    """How an execution ended: `SUCCEEDED` or `FAILED`."""

    status: str
    output: Any = None
    error: str = ""
    cause: str = ""
    steps: list[Step] = field(default_factory=list[Step])
    """Steps within a Map state come before the Map state's own step."""
    variables: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def path(self) -> list[str]:
        """The states that were entered."""
        return [step.state for step in self.steps]


type Answer = Callable[[str, Mapping[str, Any]], Any]
"""Name of the state and its arguments -> the result; raises `Refused`."""


def _hash(value: str, algorithm: str) -> str:
    return hashlib.new(algorithm.replace("-", "").lower(), value.encode()).hexdigest()


FUNCTIONS: Mapping[str, Callable[..., Any]] = {"hash": _hash, "parse": json.loads}


def evaluate(text: str, states: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """Evaluate `{% … %}`; any other text stands for itself."""
    if not (text.startswith("{%") and text.endswith("%}")):
        return text
    expression = text[2:-2].strip()
    found = _evaluated(expression, states, variables)
    if found is None and not _evaluated(f"$exists({expression})", states, variables):
        raise Undefined(f"{text} gave nothing")
    return json.loads(json.dumps(found, default=list))


@cache
def _parsed(expression: str, functions: tuple[tuple[str, Callable[..., Any]], ...]) -> Jsonata:
    parsed = Jsonata(expression)
    for name, function in functions:
        parsed.register_lambda(name, function)
    return parsed


def _evaluated(expression: str, states: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    parsed = _parsed(expression, tuple(FUNCTIONS.items()))
    frame = parsed.create_frame()
    for name, value in {"states": dict(states), **variables}.items():
        frame.bind(name, Utils.NULL_VALUE if value is None else json.loads(json.dumps(value)))
    return parsed.evaluate(None, frame)


def fill(value: Any, states: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """Evaluate every expression within a value."""
    if isinstance(value, str):
        return evaluate(value, states, variables)
    if isinstance(value, Mapping):
        return {key: fill(each, states, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [fill(each, states, variables) for each in value]
    return value


def ended_execution(arguments: Mapping[str, Any], output: Any) -> Mapping[str, Any]:
    """What `startExecution.sync:2` answers once the execution that `arguments` started has succeeded."""
    machine = arguments["StateMachineArn"].removesuffix(":live")
    return {
        "ExecutionArn": f"{machine.replace(':stateMachine:', ':execution:')}:{arguments['Name']}",
        "StateMachineArn": machine,
        "StartDate": "2026-11-30T14:00:00.000Z",
        "Status": "SUCCEEDED",
        "Output": output,
    }


def run(
    definition: Mapping[str, Any],
    given: Any,
    answer: Answer,
    *,
    name: str = "an-execution",
    machine: str = "machine",
    outer: Mapping[str, Any] | None = None,
) -> Ended:
    """Execute a definition from its first state to an end."""
    variables: dict[str, Any] = dict(outer or {})
    context = {
        "Execution": {
            "Name": name,
            "Id": f"arn:aws:states:eu-west-1:{ACCOUNT}:execution:{machine}:{name}",
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{machine}",
        },
        "State": {"EnteredTime": ENTERED},
        "Task": {"Token": "a-token"},
    }
    at, steps = definition["StartAt"], list[Step]()
    while len(steps) < MOST_STEPS:
        state = definition["States"][at]
        step = Step(state=at, definition=state, input=given, variables=dict(variables), context=context)
        inner = _take(step, answer)
        steps += [*inner, step]
        variables |= step.assigned
        if step.error:
            return Ended("FAILED", error=step.error, cause=step.cause, steps=steps, variables=variables)
        if not step.next:
            return Ended("SUCCEEDED", output=step.output, steps=steps, variables=variables)
        given, at = step.output, step.next
    raise AssertionError(f"no end after {MOST_STEPS} states: … {[step.state for step in steps[-20:]]}")


def _take(step: Step, answer: Answer) -> list[Step]:
    """Run the state and record its result; returns the steps within a Map state."""
    state, variables = step.definition, step.variables
    states: dict[str, Any] = {"input": step.input, "context": step.context}
    step.output = step.input
    match state["Type"]:
        case "Choice":
            holds = (rule for rule in state["Choices"] if _condition(rule["Condition"], states, variables))
            step.next = next((rule["Next"] for rule in holds), state["Default"])
            return []
        case "Fail":
            step.error, step.cause = (fill(state[part], states, variables) for part in ("Error", "Cause"))
            assert not step.error.startswith("States."), "a prefix that only AWS's own errors have"
            return []
        case "Wait":
            step.arguments = fill(state["Seconds"], states, variables)
            assert step.arguments > 0
            step.next = state["Next"]
            return []
        case _:
            pass
    left: Mapping[str, Any] | None = state
    inner = list[Step]()
    try:
        step.result = states["result"] = _result(step, states, answer, inner)
        usual = step.input if state["Type"] == "Succeed" else step.result
        _leave(step, state, states, usual)
    except Refused as refused:
        step.refused = refused
        left = _catcher(state, refused.error)
        if left is None:
            step.error, step.cause = refused.error, refused.cause
            return inner
        usual = states["errorOutput"] = {"Error": refused.error, "Cause": refused.cause}
        _leave(step, left, states, usual)
    step.next = left.get("Next", "")
    return inner


def _leave(step: Step, left: Mapping[str, Any], states: Mapping[str, Any], usual: Any) -> None:
    """Output and variables of a state or catcher. Raises `Refused` for an expression that fails, which is caught.

    https://states-language.net/#error-names
    """
    try:
        step.output = fill(left["Output"], states, step.variables) if "Output" in left else usual
        step.assigned = {key: fill(value, states, step.variables) for key, value in left.get("Assign", {}).items()}
    except (JException, TypeError, ValueError) as error:
        raise Refused("States.QueryEvaluationError", str(error)) from error


def _condition(text: str, states: Mapping[str, Any], variables: Mapping[str, Any]) -> bool:
    found = evaluate(text, states, variables)
    assert isinstance(found, bool), f"{text} is {found!r}, which ends an execution on AWS"
    return found


def _result(step: Step, states: Mapping[str, Any], answer: Answer, inner: list[Step]) -> Any:
    state, variables = step.definition, step.variables
    match state["Type"]:
        case "Task":
            step.arguments = fill(state["Arguments"], states, variables)
            limits = [fill(state[limit], states, variables) for limit in _LIMITS if limit in state]
            assert all(limit > 0 for limit in limits)
            return answer(step.state, step.arguments)
        case "Map":
            items = fill(state["Items"], states, variables)
            assert isinstance(items, list)
            execution = step.context["Execution"]
            again = partial(run, answer=answer, name=execution["Name"], machine=execution["Id"].split(":")[-2])
            ends = [again(state["ItemProcessor"], item, outer=variables) for item in items]
            inner += [each for end in ends for each in end.steps]
            for end in ends:
                if end.status == "FAILED":
                    raise Refused(end.error, end.cause)
            return [end.output for end in ends]
        case _:
            return step.input


def _catcher(state: Any, error: str) -> Any:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""
    terminal = {"States.DataLimitExceeded", "States.Runtime"}
    special = terminal | {"States.HeartbeatTimeout", "States.Timeout"}
    for catcher in state.get("Catch", []):
        named = catcher["ErrorEquals"]
        wild = (error not in terminal and "States.ALL" in named) or (
            error not in special and "States.TaskFailed" in named
        )
        if error in named or wild:
            return catcher
    return None
