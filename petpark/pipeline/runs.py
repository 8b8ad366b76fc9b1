"""Executions of the state machine `pipeline`, from a dataset to prod. `docs/design/pipeline.md`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from petpark.data import datasets
from petpark.errors import PipelineMissing, PipelineNotStarted, PipelineRunning
from petpark.ids import complete
from petpark.jobs.execution_events import History
from petpark.jobs.executions import arn_of, machines, states_client
from petpark.pipeline.stage_times import StageTime, stage_times
from registry.layout.roles import Role

if TYPE_CHECKING:
    from petpark.targets.target import Target

_RUNNING: Final = "RUNNING"
START_SECONDS: Final = 60.0
MOST_RETRIES: Final = 99
_LISTED: Final = 1000
WAITING: Final = "WaitForCertification"


@dataclass(frozen=True, kw_only=True)
class Started:
    """Result of a trigger: the execution for these inputs, and whether the trigger started it."""

    name: str
    began: bool


@dataclass(frozen=True, kw_only=True)
class PipelineRun:
    """One execution of the pipeline."""

    name: str
    status: str
    """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""
    began: datetime
    ended: datetime | None
    dataset: str
    state: str
    """The state entered last."""
    version: int | None
    usd: float | None
    """Cost of its jobs in USD; None until it succeeds."""
    error: str
    cause: str

    @property
    def waits(self) -> bool:
        """Whether it waits for a person to certify the version."""
        return self.status == _RUNNING and self.state == WAITING


@dataclass(frozen=True, kw_only=True)
class Step:
    """The execution entered a state, or a task in it failed."""

    at: datetime
    state: str
    problem: str = ""


def start(
    target: Target,
    dataset: str,
    *,
    force: str = "",
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Started:
    """Start the pipeline for a dataset through the trigger. Returns its execution, new or existing.

    Equal inputs run only once; a different `force` makes them different. Raises `PipelineNotStarted`,
    `StackOutdated`, training's `DatasetMissing`.
    """
    sha256 = datasets.resolve(target, dataset)
    execution_input = {"dataset": sha256, "force": force, "requested_by": target.identity(role=Role.PUBLISHER)}
    client = states_client(target)
    trigger = client.start_execution(
        stateMachineArn=machines(target).start, input=json.dumps(execution_input, sort_keys=True)
    )
    deadline = clock() + START_SECONDS
    while (found := client.describe_execution(executionArn=trigger["executionArn"]))["status"] == _RUNNING:
        if clock() >= deadline:
            raise PipelineNotStarted(
                f"The trigger {trigger['executionArn']} did not finish within {START_SECONDS:.0f} s.",
                next_step="petpark pipeline status",
            )
        pause(0.3)
    output: Mapping[str, Any] = json.loads(found.get("output", "{}"))
    if found["status"] != "SUCCEEDED" or "execution" not in output:
        why = found.get("cause") or found.get("error") or f"it ended as {found['status']}"
        raise PipelineNotStarted(f"The pipeline was not started: {why}", next_step="petpark data list")
    began = output["started"] is True
    return Started(name=output["execution"].rpartition(":")[2], began=began)


def retry(target: Target, name: str) -> Started:
    """Run a pipeline that has ended again; jobs with a result are not repeated. Returns the new execution.

    Raises `PipelineRunning`, `PipelineMissing`, `PipelineNotStarted`.
    """
    before = show(target, name)
    if before.status == _RUNNING:
        raise PipelineRunning(
            f"Pipeline {name} is still running, in state {before.state}.", next_step=f"petpark pipeline status {name}"
        )
    if not before.dataset:
        raise PipelineNotStarted(
            f"Pipeline {name} was started manually, with an input without a dataset.",
            next_step="petpark pipeline start --dataset SHA",
        )
    for number in range(2, MOST_RETRIES + 1):
        started = start(target, before.dataset, force=f"retry-{number}")
        if started.began:
            return started
        if show(target, started.name).status == _RUNNING:
            raise PipelineRunning(
                f"Pipeline {started.name} is already running, for the same dataset.",
                next_step=f"petpark pipeline status {started.name}",
            )
    raise PipelineNotStarted(
        f"The pipeline of dataset {before.dataset[:12]} has been retried {MOST_RETRIES} times, the maximum.",
        next_step="petpark pipeline status",
    )


def listed(target: Target, *, limit: int) -> list[PipelineRun]:
    """Returns the newest executions, newest first."""
    return [_run(target, arn) for arn in _newest(target, limit)]


def show(target: Target, name: str) -> PipelineRun:
    """Returns an execution. Raises `PipelineMissing`."""
    return _run(target, arn_of(machines(target).pipeline, name))


def resolve(target: Target, beginning: str) -> str:
    """Returns the only execution whose name starts with `beginning`, the newest if it is empty.

    Raises `PipelineMissing`, `IdAmbiguous`.
    """
    names = [arn.rpartition(":")[2] for arn in _newest(target, _LISTED if beginning else 1)]
    if not beginning and not names:
        raise PipelineMissing("No pipeline has been started yet.", next_step="petpark pipeline start --dataset SHA")
    return complete("pipelines", beginning or names[0], names, listing="petpark pipeline status")


def history(target: Target, name: str) -> list[Step]:
    """Returns the states and failures of an execution, oldest first. Raises `PipelineMissing`."""
    show(target, name)
    found = (step_of(event) for event in History(target, arn_of(machines(target).pipeline, name)).new())
    return [step for step in found if step is not None]


def stages(target: Target, name: str) -> list[StageTime]:
    """Returns the jobs of an execution with their durations, in order. Raises `PipelineMissing`."""
    show(target, name)
    return stage_times(History(target, arn_of(machines(target).pipeline, name)).new())


def follow(
    target: Target, name: str, *, poll: float = 2.0, pause: Callable[[float], None] = time.sleep
) -> Iterator[Step | PipelineRun]:
    """Yield an execution's steps until it has ended, and then the run. Polls every `poll` seconds.

    Raises `PipelineMissing`.
    """
    events = History(target, arn_of(machines(target).pipeline, name))
    while True:
        run = show(target, name)  # first, so that all steps before the end are read below
        yield from (step for event in events.new() if (step := step_of(event)) is not None)
        if run.status != _RUNNING:
            yield run
            return
        pause(poll)


def step_of(event: Mapping[str, Any]) -> Step | None:
    """Returns the step for an event of the history; None for events that are not shown."""
    at = event["timestamp"].astimezone(UTC)
    if (entered := event.get("stateEnteredEventDetails")) is not None:
        return Step(at=at, state=entered["name"])
    for kind in ("taskFailedEventDetails", "taskTimedOutEventDetails"):
        if (details := event.get(kind)) is not None:
            return Step(at=at, state="", problem=_problem(details.get("error", ""), details.get("cause", "")))
    return None


def visited(steps: Sequence[Step]) -> list[str]:
    """Returns the states that were entered, each once, in order."""
    return list(dict.fromkeys(step.state for step in steps if step.state))


def _problem(error: str, cause: str) -> str:
    """Returns error and cause as text; those of a child execution are in `cause`, as JSON."""
    try:
        child: Mapping[str, Any] = json.loads(cause)
        error, cause = child.get("Error", error), child.get("Cause", child.get("Status", ""))
    except (ValueError, AttributeError):
        pass
    return f"{error}: {cause}".rstrip(": ")


def _run(target: Target, arn: str) -> PipelineRun:
    try:
        found = states_client(target).describe_execution(executionArn=arn)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ExecutionDoesNotExist":
            raise
        raise PipelineMissing(
            f"There is no pipeline {arn.rpartition(':')[2]}.", next_step="petpark pipeline status"
        ) from None
    execution_input, output = (_object(found.get(name)) for name in ("input", "output"))
    ended = found.get("stopDate")
    return PipelineRun(
        name=arn.rpartition(":")[2],
        status=found["status"],
        began=found["startDate"].astimezone(UTC),
        ended=ended.astimezone(UTC) if ended else None,
        dataset=str(execution_input.get("dataset", "")),
        state=_state(target, arn),
        version=output.get("version"),
        usd=output.get("usd"),
        error=found.get("error", ""),
        cause=found.get("cause", ""),
    )


def _object(text: str | None) -> Mapping[str, Any]:
    """Returns a JSON object; empty for other values, as the input of a manually started execution may be anything."""
    found: Any = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}


def _state(target: Target, arn: str) -> str:
    """Returns the state entered last, among the newest 50 events; empty without one."""
    newest = states_client(target).get_execution_history(executionArn=arn, reverseOrder=True, maxResults=50)["events"]
    names = (event.get("stateEnteredEventDetails", {}).get("name", "") for event in newest)
    return next((name for name in names if name), "")


def _newest(target: Target, limit: int) -> list[str]:
    """Returns the ARNs of the newest executions.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
    """
    pages = (
        states_client(target)
        .get_paginator("list_executions")
        .paginate(
            stateMachineArn=machines(target).pipeline.rpartition(":")[0],
            PaginationConfig={"MaxItems": limit, "PageSize": min(limit, 100)},
        )
    )
    return [one["executionArn"] for page in pages for one in page["executions"]][:limit]
