"""Runs a state machine on paper: every expression is evaluated by a JSONata library, and a function answers its tasks.

https://states-language.net/spec.html; what petpark's definitions use of it, and nothing else. Time does not pass.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonata import Jsonata
from jsonata.utils import Utils

ACCOUNT = "000000000000"
MOST_STEPS = 2_000


class Refused(Exception):
    """A task ends with an error."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error)
        self.error, self.cause = error, cause


class Undefined(AssertionError):
    """An expression gave nothing, which ends an execution on AWS (States.QueryEvaluationError)."""


@dataclass
class Ended:
    """How an execution ended: `SUCCEEDED` or `FAILED`."""

    status: str
    output: Any = None
    error: str = ""
    cause: str = ""
    path: list[str] = field(default_factory=list[str])
    variables: dict[str, Any] = field(default_factory=dict[str, Any])


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


def _evaluated(expression: str, states: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    parsed = Jsonata(expression)
    for name, function in FUNCTIONS.items():
        parsed.register_lambda(name, function)
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
        "State": {"EnteredTime": "2026-11-30T14:00:00.000Z"},
        "Task": {"Token": "a-token"},
    }
    at, path = definition["StartAt"], list[str]()
    while len(path) < MOST_STEPS:
        path.append(at)
        state = definition["States"][at]
        states: dict[str, Any] = {"input": given, "context": context}
        match state["Type"]:
            case "Choice":
                holds = (rule for rule in state["Choices"] if _condition(rule["Condition"], states, variables))
                at = next((rule["Next"] for rule in holds), state["Default"])
                continue
            case "Fail":
                error, cause = (fill(state[part], states, variables) for part in ("Error", "Cause"))
                return Ended("FAILED", error=error, cause=cause, path=path, variables=variables)
            case "Wait":
                assert fill(state["Seconds"], states, variables) > 0
                at = state["Next"]
                continue
            case _:
                pass
        caught = None
        try:
            states["result"] = _result(state, at, states, variables, answer)
        except Refused as refused:
            caught = _catcher(state, refused.error)
            if caught is None:
                return Ended("FAILED", error=refused.error, cause=refused.cause, path=path, variables=variables)
            states["errorOutput"] = {"Error": refused.error, "Cause": refused.cause}
        left = state if caught is None else caught
        usual = states.get("errorOutput", states.get("result", given)) if state["Type"] != "Succeed" else given
        output = fill(left["Output"], states, variables) if "Output" in left else usual
        changed = {key: fill(value, states, variables) for key, value in left.get("Assign", {}).items()}
        variables |= changed
        if caught is None and (state.get("End") or state["Type"] == "Succeed"):
            return Ended("SUCCEEDED", output=output, path=path, variables=variables)
        given, at = output, left["Next"]
    raise AssertionError(f"no end after {MOST_STEPS} states: … {path[-20:]}")


def _condition(text: str, states: Mapping[str, Any], variables: Mapping[str, Any]) -> bool:
    found = evaluate(text, states, variables)
    assert isinstance(found, bool), f"{text} is {found!r}, which ends an execution on AWS"
    return found


def _result(state: Any, at: str, states: Mapping[str, Any], variables: Mapping[str, Any], answer: Answer) -> Any:
    match state["Type"]:
        case "Task":
            return answer(at, fill(state["Arguments"], states, variables))
        case "Map":
            items = fill(state["Items"], states, variables)
            assert isinstance(items, list)
            ends = [run(state["ItemProcessor"], item, answer, outer=variables) for item in items]
            for end in ends:
                if end.status == "FAILED":
                    raise Refused(end.error, end.cause)
            return [end.output for end in ends]
        case _:
            return states["input"]


def _catcher(state: Any, error: str) -> Any:
    special = {"States.HeartbeatTimeout", "States.Timeout", "States.DataLimitExceeded"}
    for catcher in state.get("Catch", []):
        named = catcher["ErrorEquals"]
        if error in named or "States.ALL" in named or ("States.TaskFailed" in named and error not in special):
            return catcher
    return None
