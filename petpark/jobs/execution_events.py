"""Events of a job's execution: follow it until it ends, and read its history. `docs/design/pipeline.md`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from petpark.errors import JobCancelled, JobFailed, JobInterrupted, NoCapacity
from petpark.failures.denials import denial
from petpark.jobs.executions import RUNNING, Execution, states_client
from petpark.jobs.spending import Spending
from petpark.jobs.submission import Finished, JobEvent, Records, finished
from registry.layout.roles import Role

if TYPE_CHECKING:
    from petpark.targets.target import Target
    from training.job import JobResult

_PAGE: Final = 20
_FIRST_PAGE: Final = 200

STATE_TEXTS: Final[Mapping[str, str]] = {
    "LaunchSpot": "requests spot instances",
    "LaunchOnDemand": "requests on-demand instances",
    "WaitForCapacity": "waits for capacity",
    "Boot": "the instance boots",
    "Run": "runs",
    "EndInstances": "ends its instances",
    "NextAttempt": "starts another attempt",
}
"""States to show, with their texts."""


@dataclass(frozen=True, kw_only=True)
class StateEntered:
    """The job's execution entered a state."""

    state: str
    text: str
    at: datetime
    cause: str = ""
    """The error that led to another attempt."""


@dataclass(frozen=True, kw_only=True)
class CostIncreased:
    """The cost of a job or study so far in USD, at list prices."""

    usd: float


type ExecutionEvent = JobEvent | StateEntered | CostIncreased


def follow(
    target: Target,
    execution: Execution,
    *,
    poll: float = 2.0,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[ExecutionEvent]:
    """Yield a job's events until it has succeeded: states, epochs, progress, cost. Polls every `poll` seconds.

    Raises `JobFailed` with the error's name and cause, `NoCapacity`, `JobCancelled`, `JobInterrupted`.
    """
    from training.job import find_result

    workspace = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    records = Records(workspace, execution.job)
    history = History(target, execution.arn)
    spending = Spending(target, execution.job)
    usd = 0.0
    while True:
        # Read the status first: records written before the end are then read below.
        ended = states_client(target).describe_execution(executionArn=execution.arn)
        for event in history.new():
            if (entered := shown_event(event)) is not None:
                yield entered
        yield from records.new()
        if (now := spending.so_far()) > usd:
            usd = now
            yield CostIncreased(usd=usd)
        if ended["status"] != RUNNING:
            result = find_result(workspace, execution.job)
            yield _finished(execution.job, ended["status"], ended.get("error", ""), ended.get("cause", ""), result)
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
        """Returns new events, oldest first. Reads pages backwards until a known event."""
        found: list[Mapping[str, Any]] = []
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=self._arn,
            reverseOrder=True,
            PaginationConfig={"PageSize": _PAGE if self._seen else _FIRST_PAGE},
        )
        for page in pages:
            fresh = [event for event in page["events"] if event["id"] > self._seen]
            found += fresh
            if len(fresh) < len(page["events"]):
                break
        if found:
            self._seen = found[0]["id"]
        return found[::-1]


def shown_event(event: Mapping[str, Any]) -> StateEntered | None:
    """Returns the event to show for an entry of a job's history; None for entries that are not shown."""
    at = event["timestamp"].astimezone(UTC)
    for kind in ("taskFailedEventDetails", "taskTimedOutEventDetails"):
        if (details := event.get(kind)) is not None and _is_of_worker(details):
            cause = details.get("cause") or details.get("error", "")
            return StateEntered(state="", text=f"interrupted: {details.get('error', 'unknown')}", at=at, cause=cause)
    entered = event.get("stateEnteredEventDetails")
    if entered is None or (text := STATE_TEXTS.get(entered["name"])) is None:
        return None
    return StateEntered(state=entered["name"], text=text, at=at)


def _is_of_worker(details: Mapping[str, Any]) -> bool:
    """Whether the task waited for a worker. Other tasks read S3, and a missing object is normal there."""
    return details.get("resource", "").endswith(".waitForTaskToken")


def _finished(job: str, status: str, error: str, cause: str, result: JobResult | None) -> Finished:
    """Returns the last event of a successful job. Raises the error of any other outcome, with the next step."""
    if status == "SUCCEEDED" and result is not None:
        return finished(job, result)
    if (result is not None and result.status == "cancelled") or error == "Cancelled":
        if result is not None:
            finished(job, result)  # raises JobCancelled, with the name of the person
        raise JobCancelled(
            f"Job {job} was cancelled{f': {cause}' if cause else ''}", next_step="petpark jobs list", job=job
        )
    resume = f"petpark train --resume {job}"
    reason = cause or f"the execution ended as {status} without a cause"
    if error == "NoCapacity":
        raise NoCapacity(reason, next_step=f"Try again later ({resume}), or on demand ({resume} --on-demand).", job=job)
    if error in _RESUMABLE or status in ("ABORTED", "TIMED_OUT"):
        raise JobInterrupted(f"Job {job} was interrupted: {error or status}, {reason}", next_step=resume, job=job)
    refused = denial(reason)
    step = _STEPS.get(error, "Fix the cause and train again; `petpark jobs logs` shows its log.")
    if refused is not None:
        step = f"The {refused}."
    raise JobFailed(f"Job {job} failed: {error}, {reason}", next_step=step, job=job, error=error)


_RESUMABLE: Final = frozenset({"TooManyAttempts", "Interrupted", "LaunchFailed", "States.HeartbeatTimeout"})
_STEPS: Final[Mapping[str, str]] = {
    "SpendCap": "Raise the named limit, then pulumi up; or use fewer instances or minutes (--max-minutes).",
    "TimedOut": "Allow more time with --max-minutes.",
}
