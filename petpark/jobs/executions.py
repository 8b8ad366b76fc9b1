"""Jobs as executions of the state machine `job`: started, followed, stopped. `docs/design/pipeline.md`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from petpark.errors import JobCancelled, JobFailed, JobFinished, JobInterrupted, NoCapacity, StackOutdated
from petpark.jobs.spending import Spending
from petpark.jobs.submission import Finished, JobEvent, Records, finished
from registry.layout import Role

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from petpark.targets.stacks import PipelineOutputs
    from petpark.targets.target import Target
    from training.job import JobResult

_RUNS: Final = 99
_PAGE: Final = 200
_RUNNING: Final = "RUNNING"

SAID: Final[Mapping[str, str]] = {
    "LaunchSpot": "requests spot instances",
    "LaunchOnDemand": "requests on-demand instances",
    "WaitForCapacity": "waits for capacity",
    "Boot": "the instance boots",
    "Run": "works",
    "EndInstances": "ends its instances",
    "NextAttempt": "begins an attempt",
}
"""States that people want to hear of, and what the job does in them."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One execution that runs a job."""

    job: str
    arn: str

    @property
    def name(self) -> str:
        """The job's id; with `-r2` and so on for a later run of it."""
        return self.arn.rpartition(":")[2]


@dataclass(frozen=True, kw_only=True)
class StateSeen:
    """The job's execution entered a state."""

    state: str
    said: str
    at: datetime
    cause: str = ""
    """Why: an error that another attempt follows."""


@dataclass(frozen=True, kw_only=True)
class MoneySeen:
    """What the job has cost so far, at list prices."""

    usd: float


type ExecutionEvent = JobEvent | StateSeen | MoneySeen


def machines(target: Target) -> PipelineOutputs:
    """The stack's state machines; `StackOutdated` where it has none."""
    found = target.outputs.pipeline
    if found is None:
        raise StackOutdated(
            f"Stack {target.outputs.stack} has no pipeline; it was deployed by another version of this program.",
            next_step=f"pulumi up --stack {target.outputs.stack}",
        )
    return found


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What the state machine `job` is started with."""

    job: str
    purpose: str
    machine: str
    max_seconds: int
    requested_by: str
    instances: int = 1
    on_demand: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> str:
        """As its input; one text for equal requests, so that a repeated start is the same execution."""
        facts = {
            "job": self.job,
            "purpose": self.purpose,
            "machine": self.machine,
            "instances": self.instances,
            "on_demand": self.on_demand,
            "max_seconds": self.max_seconds,
            "requested_by": self.requested_by,
            "pipeline": None,
            "inputs": dict(self.inputs),
        }
        return json.dumps(facts, sort_keys=True)


def start_training(target: Target, job: str, *, on_demand: bool = False) -> Execution:
    """Start the training that was submitted as `job`, or go on with it; while it runs, that run is returned.

    Raises `JobFinished`, `StackOutdated`, training's `JobMissing`. A job that failed is tried again: its failed result
    makes way.
    """
    from training.job import find_result, load_spec

    workspace = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    spec = load_spec(workspace, job)
    result = find_result(workspace, job)
    if result is not None and result.status != "failed":
        raise JobFinished(f"Job {job} has a result already.", next_step=f"petpark jobs show {job}", job=job)
    return start(
        target,
        JobRequest(
            job=job,
            purpose="trial" if spec.study else "train",
            machine="training",
            instances=spec.instances,
            on_demand=on_demand,
            max_seconds=spec.max_seconds,
            requested_by=spec.requested_by,
        ),
    )


def start(target: Target, request: JobRequest) -> Execution:
    """Start an execution for a job; one that runs already is returned. Raises `StackOutdated`."""
    alias = machines(target).job
    client = states_client(target)
    for run in range(1, _RUNS + 1):
        name = request.job if run == 1 else f"{request.job}-r{run}"
        try:
            made = client.start_execution(stateMachineArn=alias, name=name, input=request.to_json())
            return Execution(job=request.job, arn=made["executionArn"])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ExecutionAlreadyExists":
                raise
        found = Execution(job=request.job, arn=arn_of(alias, name))
        if client.describe_execution(executionArn=found.arn)["status"] == _RUNNING:
            return found
    raise JobFinished(
        f"Job {request.job} was run {_RUNS} times.", next_step="Start another: petpark train --dataset SHA"
    )


def running(target: Target, job: str) -> list[Execution]:
    """The executions that run a job: one of its own, and those of pipelines that want it."""
    found = [Execution(job=job, arn=arn) for arn in _all_running(target)]
    return [each for each in found if each.name == job or each.name.startswith(f"{job}-")]


def running_names(target: Target) -> frozenset[str]:
    """Names of the executions that run jobs now: the job's id, with an ending or without."""
    return frozenset(arn.rpartition(":")[2] for arn in _all_running(target))


def _all_running(target: Target) -> list[str]:
    pages = (
        states_client(target)
        .get_paginator("list_executions")
        .paginate(stateMachineArn=_bare(machines(target).job), statusFilter=_RUNNING)
    )
    return [one["executionArn"] for page in pages for one in page["executions"]]


def stop(target: Target, job: str, *, why: str) -> list[Execution]:
    """Stop the executions of a job; its instances are not ended by that."""
    stopped = running(target, job)
    for each in stopped:
        states_client(target).stop_execution(executionArn=each.arn, error="Cancelled", cause=why[:1000])
    return stopped


def follow(
    target: Target,
    execution: Execution,
    *,
    poll: float = 2.0,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[ExecutionEvent]:
    """Yield what happens to a job until it has succeeded: states, epochs, progress, money; looks every `poll` seconds.

    Raises `JobFailed` with the error's name and cause, `NoCapacity`, `JobCancelled`, `JobInterrupted`.
    """
    from training.job import find_result

    workspace = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    records = Records(workspace, execution.job)
    history = History(target, execution.arn)
    spending = Spending(target, execution.job)
    usd = 0.0
    while True:
        # Its status first: what it wrote until it ended is read after that.
        ended = states_client(target).describe_execution(executionArn=execution.arn)
        for event in history.new():
            if (seen := state_seen(event)) is not None:
                yield seen
        yield from records.new()
        if (now := spending.so_far()) > usd:
            usd = now
            yield MoneySeen(usd=usd)
        if ended["status"] != _RUNNING:
            result = find_result(workspace, execution.job)
            yield _end(execution.job, ended["status"], ended.get("error", ""), ended.get("cause", ""), result)
            return
        pause(poll)


class History:
    """The events of an execution, each read once.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html
    """

    def __init__(self, target: Target, arn: str) -> None:
        self._client = states_client(target)
        self._arn = arn
        self._seen = 0

    def new(self) -> list[Mapping[str, Any]]:
        """Events since last time, oldest first: pages are read backwards until one is known."""
        found: list[Mapping[str, Any]] = []
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=self._arn, reverseOrder=True, PaginationConfig={"PageSize": _PAGE}
        )
        for page in pages:
            fresh = [event for event in page["events"] if event["id"] > self._seen]
            found += fresh
            if len(fresh) < len(page["events"]):
                break
        if found:
            self._seen = found[0]["id"]
        return found[::-1]


def state_seen(event: Mapping[str, Any]) -> StateSeen | None:
    """What an event of a job's history says to people; None where it says nothing."""
    at = event["timestamp"].astimezone(UTC)
    for kind in ("taskFailedEventDetails", "taskTimedOutEventDetails"):
        if (details := event.get(kind)) is not None and _is_ours(details):
            said = details.get("cause") or details.get("error", "")
            return StateSeen(state="", said=f"interrupted: {details.get('error', '')}", at=at, cause=said)
    entered = event.get("stateEnteredEventDetails")
    if entered is None or (said := SAID.get(entered["name"])) is None:
        return None
    return StateSeen(state=entered["name"], said=said, at=at)


def _is_ours(details: Mapping[str, Any]) -> bool:
    """Whether a task waited for a worker: a failed look into S3 is an answer."""
    return details.get("resource", "").endswith(".waitForTaskToken")


def _end(job: str, status: str, error: str, cause: str, result: JobResult | None) -> Finished:
    """Returns a success, and raises anything else as what it is, with the next step."""
    if status == "SUCCEEDED" and result is not None:
        return finished(job, result)
    if (result is not None and result.status == "cancelled") or error == "Cancelled":
        if result is not None:
            finished(job, result)  # raises, with the name of who did it
        raise JobCancelled(f"Job {job} was cancelled: {cause}", next_step="petpark jobs list", job=job)
    again = f"petpark train --resume {job}"
    said = cause or f"the execution ended as {status}"
    if error == "NoCapacity":
        raise NoCapacity(said, next_step=f"Try again later ({again}), or on demand ({again} --on-demand).", job=job)
    if error in _RESUMABLE or status in ("ABORTED", "TIMED_OUT"):
        raise JobInterrupted(f"Job {job} did not end: {error or status}, {said}", next_step=again, job=job)
    step = _STEPS.get(error, "Fix the cause and train again; `petpark jobs logs` shows what it said.")
    raise JobFailed(f"Job {job} failed: {error}, {said}", next_step=step, job=job, error=error)


_RESUMABLE: Final = frozenset({"TooManyAttempts", "Interrupted", "LaunchFailed", "States.HeartbeatTimeout"})
_STEPS: Final[Mapping[str, str]] = {
    "SpendCap": "Raise the cap that is named, then pulumi up; or take fewer instances or minutes (--max-minutes).",
    "TimedOut": "Give it more time: --max-minutes.",
}


def states_client(target: Target) -> SFNClient:
    """Step Functions, as the publisher."""
    return target.client("stepfunctions", role=Role.PUBLISHER)


def _bare(alias: str) -> str:
    """The state machine's ARN of an alias's."""
    return alias.rpartition(":")[0]


def arn_of(alias: str, name: str) -> str:
    """The ARN of an execution of an alias's state machine."""
    return f"{_bare(alias).replace(':stateMachine:', ':execution:')}:{name}"
