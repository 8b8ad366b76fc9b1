"""The pipeline's executions in a rehearsal: awaited, followed stage by stage, and recorded for the summary."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from petpark.errors import OperatorError
from petpark.jobs.execution_events import History
from petpark.jobs.executions import arn_of, machines
from petpark.jobs.submission import EpochFinished, ProgressReported, Records, sentence
from petpark.pipeline import runs
from petpark.targets.target import Target
from registry.layout.jobs import attempts_of_job_prefix
from registry.layout.roles import Role
from registry.layout.workspace import certification_key, stack_outputs_key
from registry.store.object_store import ObjectStore
from rehearsal.environment import Environment
from rehearsal.report.stages import TITLES, StageRecord
from rehearsal.report.steps import Step, Steps
from training.job import find_result

_POLL_SECONDS: Final = 0.5
_BEGINS_WITHIN: Final = 60.0
_READY_WITHIN: Final = 120.0
_ENDED: Final = "ExecutionSucceeded"
_NOT_DONE: Final = ("ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")


_LOGS: Final = "The logs of its instances are in the rehearsal's folder, below instances/."
_NEXT: Final[Mapping[str, str]] = {
    "DatasetRefused": "quality.html in the rehearsal's folder names the photos. Remove or replace them, or change "
    "petpark:gates (data) in Pulumi.test.yaml, and run it again.",
    "GateRefused": "Use more photos, or photos that show their class better, or change the gates named above "
    "(petpark:gates, model) in Pulumi.test.yaml, and run it again.",
}
"""Next steps by error of the pipeline; for any other error, read the logs."""


class PipelineFailed(OperatorError):
    """The pipeline ended with an error, or did not begin."""

    def __init__(self, message: str, *, next_step: str = _LOGS) -> None:
        super().__init__(message, next_step=next_step)


def wait_until_ready(environment: Environment, stack: str) -> None:
    """Returns once a new manifest in `stack`'s data lake starts the pipeline, and its workers find the stack's outputs.

    An engine reports outputs before it has created what no output depends on. Raises `PipelineFailed`.
    """
    outputs = environment.target(stack).outputs
    start = machines(environment.target(stack)).start
    events, s3 = environment.emulator.client("events"), environment.emulator.client("s3")

    def ready() -> bool:
        told = s3.get_bucket_notification_configuration(Bucket=outputs.data_lake)
        kept = s3.list_objects_v2(Bucket=outputs.workspace, Prefix=stack_outputs_key(stack)).get("KeyCount", 0)
        rules = events.list_rule_names_by_target(TargetArn=start).get("RuleNames", [])
        return "EventBridgeConfiguration" in told and kept > 0 and bool(rules)

    _until(ready, _READY_WITHIN, f"Stack {stack} does not start its pipeline on a new manifest.")


def begun(target: Target, dataset: str) -> str:
    """Name of the execution that the manifest of `dataset` started; raises `PipelineFailed` where none did."""
    found: list[str] = []

    def look() -> bool:
        found.extend(run.name for run in runs.listed(target, limit=5) if run.dataset == dataset)
        return bool(found)

    _until(look, _BEGINS_WITHIN, f"No pipeline began with dataset {dataset[:12]}.")
    return found[0]


def _until(look: Callable[[], bool], seconds: float, problem: str) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise PipelineFailed(f"{problem} Waited {seconds:.0f} s.")
        threading.Event().wait(_POLL_SECONDS)


@dataclass(kw_only=True)
class _Open:
    """The running stage."""

    state: str
    since: datetime
    job: str = ""
    output: Mapping[str, Any] | None = None
    records: Records | None = None


class PipelineWatch:
    """Follows one execution. `stages` grows; its times are seconds since `started_at`."""

    def __init__(
        self,
        target: Target,
        name: str,
        steps: Steps,
        *,
        started_at: datetime,
        describe: Callable[[StageRecord], str] = lambda stage: stage.outcome,
    ) -> None:
        self.name = name
        self.stages: list[StageRecord] = []
        self.certified_by = ""
        """Who decided about the certification; recorded with the stage that waits."""
        self._steps = steps
        self._started_at = started_at
        self._describe = describe
        self._target = target
        self._workspace: ObjectStore = target.store(target.outputs.workspace, role=Role.PUBLISHER)
        self._history = History(target, arn_of(machines(target).pipeline, name))
        self._events: deque[Mapping[str, Any]] = deque()
        self._stage: _Open | None = None

    def await_question(self) -> int:
        """Wait until the pipeline requests certification. Returns the version's number. Raises `PipelineFailed`."""
        key = certification_key(self.name)
        _until(
            lambda: self._workspace.stat(key) is not None,
            _BEGINS_WITHIN,
            f"Pipeline {self.name} did not request certification.",
        )
        return int(json.loads(self._workspace.get(key))["version"])

    def report(self, state: str) -> bytes:
        """The page that the job of a stage wrote for people, from the data lake."""
        job = next(stage.job for stage in reversed(self.stages) if stage.state == state)
        result = find_result(self._workspace, job)
        if result is None or result.report is None:
            raise PipelineFailed(f"Job {job} wrote no report.")
        lake = self._target.outputs.data_lake
        return self._target.store(lake, role=Role.PUBLISHER).get(result.report.removeprefix(f"s3://{lake}/"))

    @property
    def version(self) -> int:
        """The version that the last training made. Raises `PipelineFailed`."""
        made = [stage.version for stage in self.stages if stage.version is not None]
        if not made:
            raise PipelineFailed(f"Pipeline {self.name} has trained no version.")
        return made[-1]

    def follow(self, *, until: str = "") -> None:
        """Show a step for each stage, until the execution enters state `until`, or to its end.

        Raises `PipelineFailed` with the pipeline's own error and cause.
        """
        try:
            self._follow(until)
        except PipelineFailed:
            if self._steps.failed:
                raise
            with self._steps.step("pipeline: run to its end"):  # it failed between two stages, so no step shows it
                raise

    def _follow(self, until: str) -> None:
        stage = self._stage or self._entered()
        while stage is not None and stage.state != until:
            shown = stage.state in TITLES and stage.state != runs.WAITING
            stage = self._show(stage) if shown else self._entered(None, stage)
        self._stage = stage

    def _show(self, stage: _Open) -> _Open | None:
        with self._steps.step(f"pipeline: {TITLES[stage.state]}") as step:
            following = self._entered(step, stage)
            record = self.stages[-1]
            said = "" if record.overhead is None else f" on {record.instance}, {record.overhead:.1f} s overhead"
            step.done(f"{self._describe(record)}{said}")
        return following

    def _entered(self, step: Step | None = None, stage: _Open | None = None) -> _Open | None:
        """Read on until a state is entered, and close the one before; None at the pipeline's end."""
        while True:
            event = self._next(step, stage)
            if stage is not None:
                self._note(event, stage)
            if event["type"].endswith("StateExited") and stage is not None and stage.state in TITLES:
                self.stages.append(self._record(stage, event["timestamp"]))
            if (entered := event.get("stateEnteredEventDetails")) is not None:
                return _Open(state=entered["name"], since=event["timestamp"])
            if event["type"] == _ENDED:
                return None
            if event["type"] in _NOT_DONE:
                raise _failure(self.name, event)

    def _next(self, step: Step | None, stage: _Open | None) -> Mapping[str, Any]:
        while not self._events:
            self._events.extend(self._history.new())
            if not self._events:
                if step is not None and stage is not None and stage.records is not None:
                    _report_progress(step, stage.records)
                threading.Event().wait(_POLL_SECONDS)
        return self._events.popleft()

    def _note(self, event: Mapping[str, Any], stage: _Open) -> None:
        """Note what an event says about the stage's job: its id, and its output."""
        if (scheduled := event.get("taskScheduledEventDetails")) is not None:
            stage.job = _object(scheduled.get("parameters")).get("Input", {}).get("job", "")
            if stage.state == "Train" and stage.job:
                stage.records = Records(self._workspace, stage.job)
        if (succeeded := event.get("taskSucceededEventDetails")) is not None:
            output = _object(succeeded.get("output"))
            stage.output = output.get("Output", output)

    def _record(self, stage: _Open, ended: datetime) -> StageRecord:
        output = stage.output or {}
        result = find_result(self._workspace, stage.job) if stage.job else None
        return StageRecord(
            execution=self.name,
            state=stage.state,
            at=(stage.since.astimezone(UTC) - self._started_at).total_seconds(),
            seconds=(ended - stage.since).total_seconds(),
            outcome=str(output.get("outcome") or output.get("decision") or ""),
            version=output.get("version"),
            job=stage.job,
            instance=self._instance(stage.job) if stage.job else "",
            work=None if result is None else result.seconds,
            by="" if stage.job else self.certified_by,
        )

    def _instance(self, job: str) -> str:
        """The instance of the job's last attempt."""
        launches = [key for key in self._workspace.keys(attempts_of_job_prefix(job)) if key.endswith("/launch.json")]
        return json.loads(self._workspace.get(launches[-1]))["instances"][0] if launches else ""


def _report_progress(step: Step, records: Records) -> None:
    for seen in records.new():
        if isinstance(seen, EpochFinished):
            show = step.stage if at_a_quarter(seen.record.epoch, seen.record.of) else step.progress
            show(sentence(seen.record))
        elif isinstance(seen, ProgressReported):
            step.progress(sentence(seen.record))


def at_a_quarter(epoch: int, of: int) -> bool:
    """Whether a quarter of the epochs ends with this one: a training gets a line in the log per quarter."""
    return 4 * epoch // of > 4 * (epoch - 1) // of


def _failure(name: str, event: Mapping[str, Any]) -> PipelineFailed:
    details = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
    error = details.get("error", event["type"])
    said = f"{error}: {details.get('cause', '')}".rstrip(": ")
    return PipelineFailed(f"Pipeline {name} ended with {said}", next_step=_NEXT.get(error, _LOGS))


def _object(text: str | None) -> Mapping[str, Any]:
    found: Any = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}
