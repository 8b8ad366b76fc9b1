"""Step Functions in memory, as far as commands ask it: executions by name, histories that tests write, tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.petpark.conftest import FakeTarget, Place

HEAD = "arn:aws:states:eu-west-1:123456789012:stateMachine"
OUTPUTS = {name: f"{HEAD}:petpark-{name}:live" for name in ("job", "study", "pipeline", "start", "janitor", "act")}
LIMITS = {
    "around_seconds": 1800.0,
    "job_usd": 20.0,
    "execution_usd": 50.0,
    "usd_per_hour": {"g5.xlarge": 1.2, "g6.xlarge": 1.0},
}
PIPELINE: dict[str, Any] = {
    **OUTPUTS,
    "log_group": "/petpark/test/pipeline",
    "small_log_group": "/petpark/test/jobs",
    "versions": {name: f"{alias.removesuffix(':live')}:1" for name, alias in OUTPUTS.items()},
    "limits": LIMITS,
}
"""What a stack exports of its pipeline."""
AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "Call")


@dataclass
class StepFunctions:
    """Executions by ARN. `on_start` may end one at once; `on_look` is called before each description."""

    executions: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    tokens: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    denied: set[str] = field(default_factory=set[str])
    deployed: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """Descriptions of state machines, versions and aliases, by ARN."""
    on_start: Callable[[dict[str, Any]], None] = lambda _execution: None
    on_look: Callable[[dict[str, Any]], None] = lambda _execution: None

    def __post_init__(self) -> None:
        self.deploy()

    def start_execution(self, *, input: str, name: str = "", **named: str) -> dict[str, str]:
        self._check("StartExecution")
        machine = named["stateMachineArn"].removesuffix(":live")
        name = name or f"run-{len(self.executions)}"
        arn = f"{machine.replace('stateMachine', 'execution')}:{name}"
        found = self.executions.get(arn)
        if found is not None and (found["status"] != "RUNNING" or found["input"] != input):
            raise refused("ExecutionAlreadyExists")
        if found is None:
            self.executions[arn] = {"executionArn": arn, "status": "RUNNING", "input": input, "startDate": AT}
            self.on_start(self.executions[arn])
        return {"executionArn": arn}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        if executionArn not in self.executions:
            raise refused("ExecutionDoesNotExist")
        self.on_look(self.executions[executionArn])
        return self.executions[executionArn]

    def describe_state_machine(self, *, stateMachineArn: str) -> dict[str, Any]:
        return self._described(stateMachineArn, "StateMachineDoesNotExist")

    def describe_state_machine_alias(self, *, stateMachineAliasArn: str) -> dict[str, Any]:
        return self._described(stateMachineAliasArn, "ResourceNotFound")

    def _described(self, arn: str, missing: str) -> dict[str, Any]:
        if arn not in self.deployed:
            raise refused(missing)
        return self.deployed[arn]

    def deploy(self, number: int = 1, *, definition: str = "{}") -> None:
        """Publish a version of every state machine, and lead its alias there."""
        for alias in OUTPUTS.values():
            machine = alias.removesuffix(":live")
            described = {"definition": definition, "roleArn": "arn:role"}
            self.deployed[machine] = self.deployed[f"{machine}:{number}"] = described
            route = {"stateMachineVersionArn": f"{machine}:{number}", "weight": 100}
            self.deployed[alias] = {"routingConfiguration": [route]}

    def stop_execution(self, *, executionArn: str, error: str, cause: str) -> None:
        self.executions[executionArn] |= {"status": "ABORTED", "error": error, "cause": cause, "stopDate": AT}

    def get_execution_history(self, *, executionArn: str, **_more: Any) -> dict[str, Any]:
        return {"events": self.histories.get(executionArn, [])[::-1]}

    def get_paginator(self, operation: str) -> Any:
        return _Pages(self, operation)

    def send_task_success(self, *, output: str, **named: str) -> None:
        self._check("SendTaskSuccess")
        if named["taskToken"] not in self.tokens:
            raise refused("TaskTimedOut")
        self.tokens.pop(named["taskToken"])["output"] = output

    def _check(self, action: str) -> None:
        if action in self.denied:
            raise refused("AccessDeniedException")

    def end(self, status: str) -> None:
        """End all executions."""
        for execution in self.executions.values():
            execution["status"] = status

    def enter(self, arn: str, *states: str, **details: Any) -> None:
        """Add to a history: states that were entered, and the details of one event."""
        events = self.histories.setdefault(arn, [])
        for state in states:
            events.append(self._event(events, stateEnteredEventDetails={"name": state}))
        if details:
            events.append(self._event(events, **details))

    def _event(self, events: list[dict[str, Any]], **details: Any) -> dict[str, Any]:
        return {"id": len(events) + 1, "timestamp": AT, **details}


@dataclass(frozen=True)
class _Pages:
    states: StepFunctions
    operation: str

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        """Pages of two, so that there are several."""
        if self.operation == "get_execution_history":
            items, name = self.states.get_execution_history(executionArn=request["executionArn"])["events"], "events"
        else:
            head = request["stateMachineArn"].replace("stateMachine", "execution")
            assert not head.endswith(":live"), "executions are listed of the state machine: any version ran them"
            wanted = request.get("statusFilter")
            items = [
                each
                for arn, each in reversed(self.states.executions.items())
                if arn.startswith(f"{head}:") and wanted in (None, each["status"])
            ]
            name = "executions"
        for first in range(0, max(1, len(items)), 2):
            yield {name: items[first : first + 2]}


def opener(place: Place, states: StepFunctions) -> Callable[..., FakeTarget]:
    """Targets of `place` whose Step Functions are `states`; to be given to commands."""
    place.states = states
    return place.target
