"""Studies as executions of the state machine `study`: started, resumed, followed. `docs/design/search.md`."""

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
from petpark.search.records import Records, StudyState, rest
from petpark.search.table import State, Table
from registry.layout.jobs import job_spec_key
from registry.layout.workspace import trial_job

if TYPE_CHECKING:
    from petpark.jobs.submission import EpochFinished, ProgressReported, Skipped
    from petpark.targets.target import Target
    from training.job import JobResult
    from training.search.study import Trial


@dataclass(frozen=True, kw_only=True)
class TrialSeen:
    """A trial is in another state than before."""

    trial: int
    state: State
    text: str
    done: int
    """Trials that have a result, of those that are certain by now."""
    of: int


@dataclass(frozen=True, kw_only=True)
class RecordSeen:
    """A trial's job, or that of the best, wrote something down."""

    job: str
    record: EpochFinished | ProgressReported | Skipped


@dataclass(frozen=True, kw_only=True)
class StudyEnded:
    """Always the last event."""

    table: Table
    status: str
    """SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""
    error: str
    cause: str
    published: JobResult | None
    """Of the training of the best, where there was one."""


type StudyEvent = TrialSeen | RecordSeen | CostIncreased | StudyEnded


def best_job(study: str) -> str:
    """The job that trains the best trial's settings again."""
    return f"{study}-best"


def start(target: Target, study: str, *, publish: bool = False) -> Execution:
    """Start a stored study, or go on with it: trials that have a result do not run again.

    While it runs, that execution is returned. Raises `StudyMissing`, `StudyCancelled`, `StackOutdated`; `JobFinished`
    where its best was published already; `StudyRunning` where it runs and will not publish; `BudgetTooSmall` where its
    budget is used up.
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
        raise JobFinished(f"Job {job} has a result already.", next_step=f"petpark jobs show {job}", job=job)
    look, limits = records.look(), machines(target).limits
    price, left = limits.attempt_usd(look.study.spec.max_seconds), rest(look, limits)
    if not publish and not look.running and look.left() and left < price:
        raise BudgetTooSmall(
            f"The budget of study {study} is used up: {left:.2f} USD are left, and one more may cost {price:.2f}.",
            next_step=f"Show it: petpark search show {study}. Publish its best: petpark search resume {study} "
            "--publish-best",
            study=study,
        )
    study_input = input_of(look, records.first().values(), usd=left, publish=publish)
    started = executions.start_named(target, machines(target).study, study, json.dumps(study_input, sort_keys=True))
    found: Mapping[str, Any] = executions.describe(target, started.arn) or {}
    if publish and json.loads(str(found.get("input", "{}"))).get("publish") is False:
        raise StudyRunning(
            f"Study {study} runs already, and will not publish its best.",
            next_step=f"When it has ended (petpark search resume {study} --watch): "
            f"petpark search resume {study} --publish-best",
            study=study,
        )
    return started


def input_of(look: StudyState, first: Iterable[Trial], *, usd: float, publish: bool) -> dict[str, Any]:
    """What the state machine is started with; `first` are the trials of the first rung, as they are stored."""
    from training.search.space import as_settings
    from training.search.study import epochs_of_rungs

    study = look.study
    known = {
        str(number): {"score": -1, "value": -1} if score is None else {"score": score.interval[0], "value": score.value}
        for number, score in sorted(look.ended().items())
    }
    return {
        "study": look.name,
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
    """Yield what happens to a study until its execution has ended; looks every `poll` seconds."""
    from training.job import find_result

    study = execution.job
    records, seen = Records(target, study), dict[int, State]()
    jobs: dict[str, submission.Records] = {}
    usd = 0.0
    while True:
        # Its status first: what was written until it ended is read after that.
        ended = executions.describe(target, execution.arn) or {"status": "ABORTED", "error": "Cancelled"}
        look = records.look()
        yield from _changes(look, seen)
        at_work = [trial_job(study, trial) for trial in sorted(look.at_work)]
        best = find_result(records.store, best_job(study))
        if records.store.stat(job_spec_key(best_job(study))) is not None and best is None:
            at_work.append(best_job(study))
        for job in at_work:
            for record in jobs.setdefault(job, submission.Records(records.store, job)).new():
                yield RecordSeen(job=job, record=record)
        if look.usd() > usd:
            usd = look.usd()
            yield CostIncreased(usd=usd)
        if ended["status"] != "RUNNING":
            yield StudyEnded(
                table=records.table(look),
                status=ended["status"],
                error=str(ended.get("error", "")),
                cause=str(ended.get("cause", "")),
                published=best,
            )
            return
        pause(poll)


def _changes(look: StudyState, seen: dict[int, State]) -> Iterator[TrialSeen]:
    scores, done = look.scores(), len(look.results)
    for number in look.trials:
        state = look.state(number)
        if state is not seen.get(number, State.WAITING):
            seen[number] = state
            score, result = scores.get(number), look.results.get(number)
            error = (result and result.error) or look.lost.get(number, ("", ""))[0]
            found = f", {look.study.metric} {score.value:.3f}" if score else ""
            text = f"trial {number} {state}{found}{f': {error}' if error else ''}"
            yield TrialSeen(trial=number, state=state, text=text, done=done, of=len(look.trials))
