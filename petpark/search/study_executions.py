"""Studies as executions of the state machine `study`: start, resume, follow. `docs/design/search.md`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from petpark.errors import BudgetTooSmall, JobFinished, StudyCancelled, StudyRunning
from petpark.jobs import executions, submission
from petpark.jobs.execution_events import CostIncreased
from petpark.jobs.executions import Execution, machines
from petpark.search.records import Records, StudyState, budget_left
from petpark.search.table import State, Table
from registry.layout.jobs import job_spec_key
from registry.layout.workspace import trial_job

if TYPE_CHECKING:
    from petpark.jobs.submission import EpochFinished, ProgressReported, Skipped
    from petpark.targets.target import Target
    from training.job import JobResult
    from training.search.study import Trial


@dataclass(frozen=True, kw_only=True)
class TrialChanged:
    """A trial changed its state."""

    trial: int
    state: State
    text: str
    done: int
    """Number of trials with a result, of the `of` trials determined so far."""
    of: int


@dataclass(frozen=True, kw_only=True)
class RecordWritten:
    """A job of the study wrote a record."""

    job: str
    record: EpochFinished | ProgressReported | Skipped


@dataclass(frozen=True, kw_only=True)
class StudyEnded:
    """The study's execution has ended; always the last event."""

    table: Table
    status: str
    """Step Functions' status: SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""
    error: str
    cause: str
    published: JobResult | None
    """Result of training the best trial again; None without one."""


type StudyEvent = TrialChanged | RecordWritten | CostIncreased | StudyEnded


def best_job(study: str) -> str:
    """Returns the id of the job that trains the best trial's settings again, and publishes the model."""
    return f"{study}-best"


def start(target: Target, study: str, *, publish: bool = False) -> Execution:
    """Start or resume a stored study; trials with a result do not run again. Returns its execution.

    If the study is running, that is the running execution. Raises `StudyMissing`, `StudyCancelled`, `StackOutdated`;
    with `publish`, `JobFinished` if the best trial is already published, `StudyRunning` if the running execution does
    not publish; without, `BudgetTooSmall` if the budget is used up.
    """
    from training.job import find_result

    records = Records(target, study)
    if (cancelled := records.cancellation()) is not None:
        raise StudyCancelled(
            f"Study {study} was {cancelled.outcome}.",
            next_step="Start another: petpark search run",
            study=study,
            by=cancelled.by,
        )
    if publish and find_result(records.store, best_job(study)) is not None:
        job = best_job(study)
        raise JobFinished(f"Job {job} already has a result.", next_step=f"petpark jobs show {job}", job=job)
    state, limits = records.state(), machines(target).limits
    price, left = limits.attempt_usd(state.study.spec.max_seconds), budget_left(state, limits)
    if not publish and not state.running and state.left() and left < price:
        raise BudgetTooSmall(
            f"The budget of study {study} is used up: {left:.2f} USD left, another attempt may cost {price:.2f} USD.",
            next_step=f"Show it: petpark search show {study}. Publish its best: petpark search resume {study} "
            "--publish-best",
            study=study,
        )
    study_input = input_of(state, records.first().values(), usd=left, publish=publish)
    started = executions.start_named(target, machines(target).study, study, json.dumps(study_input, sort_keys=True))
    found: Mapping[str, Any] = executions.describe(target, started.arn) or {}
    if publish and json.loads(str(found.get("input", "{}"))).get("publish") is False:
        raise StudyRunning(
            f"Study {study} is already running, and will not publish its best trial.",
            next_step=f"Once it has ended (petpark search resume {study} --watch): "
            f"petpark search resume {study} --publish-best",
            study=study,
        )
    return started


def input_of(state: StudyState, first: Iterable[Trial], *, usd: float, publish: bool) -> dict[str, Any]:
    """Returns the input of the state machine. `first` are the stored trials of the first rung; `usd` is the budget."""
    from training.search.space import as_settings
    from training.search.study import epochs_of_rungs

    study = state.study
    known = {
        str(number): {"score": -1, "value": -1} if score is None else {"score": score.interval[0], "value": score.value}
        for number, score in sorted(state.ended().items())
    }
    return {
        "study": state.name,
        "requested_by": study.spec.requested_by,
        "pipeline": None,
        "common": {},
        "trials": [{"setting": trial.number, "settings": as_settings(trial.values)} for trial in first],
        "rungs": list(epochs_of_rungs(study)),
        "known": known,
        "metric": study.metric,
        "parallel": study.parallel,
        "max_seconds": study.spec.max_seconds,
        "usd": round(usd, 6),
        "publish": publish,
    }


def follow(
    target: Target, execution: Execution, *, poll: float = 5.0, pause: Callable[[float], None] = time.sleep
) -> Iterator[StudyEvent]:
    """Yield the events of a study until its execution has ended. Polls every `poll` seconds."""
    from training.job import find_result

    study = execution.job
    records, seen = Records(target, study), dict[int, State]()
    jobs: dict[str, submission.Records] = {}
    usd = 0.0
    while True:
        # Read the status first: records written before the end are then read below.
        ended = executions.describe(target, execution.arn) or {"status": "ABORTED", "error": "Cancelled"}
        state = records.state()
        yield from _changes(state, seen)
        running = [trial_job(study, trial) for trial in sorted(state.running_trials)]
        best = find_result(records.store, best_job(study))
        if records.store.stat(job_spec_key(best_job(study))) is not None and best is None:
            running.append(best_job(study))
        for job in running:
            for record in jobs.setdefault(job, submission.Records(records.store, job)).new():
                yield RecordWritten(job=job, record=record)
        if state.usd() > usd:
            usd = state.usd()
            yield CostIncreased(usd=usd)
        if ended["status"] != "RUNNING":
            yield StudyEnded(
                table=records.table(state),
                status=ended["status"],
                error=str(ended.get("error", "")),
                cause=str(ended.get("cause", "")),
                published=best,
            )
            return
        pause(poll)


def _changes(study: StudyState, seen: dict[int, State]) -> Iterator[TrialChanged]:
    scores, done = study.scores(), len(study.results)
    for number in study.trials:
        state = study.state(number)
        if state is not seen.get(number, State.WAITING):
            seen[number] = state
            score, result = scores.get(number), study.results.get(number)
            error = (result and result.error) or study.lost.get(number, ("", ""))[0]
            metric = f", {study.study.metric} {score.value:.3f}" if score else ""
            text = f"trial {number} {state}{metric}{f': {error}' if error else ''}"
            yield TrialChanged(trial=number, state=state, text=text, done=done, of=len(study.trials))
