"""A study's records: its trials, their states, and the cost of their instances."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

from petpark.errors import StudyMissing
from petpark.ids import complete, folders
from petpark.jobs import executions
from petpark.jobs.executions import machines
from petpark.jobs.spending import Cost, Spending
from petpark.search.table import Row, State, Table
from registry.errors import ObjectExists, ObjectMissing
from registry.layout.jobs import JOBS, job_result_key, validation_key
from registry.layout.roles import Role
from registry.layout.workspace import (
    STUDIES,
    cancelled_key,
    study_key,
    study_prefix,
    table_key,
    trial_job,
    trials_prefix,
)

if TYPE_CHECKING:
    from petpark.targets.stacks import PipelineLimits
    from petpark.targets.target import Target
    from registry.store.object_store import ObjectStore
    from training.job import JobResult
    from training.search.choice import Answers, Score
    from training.search.study import Cancellation, Study, Trial

_NUMBER: Final = re.compile(r"\d{6}")


@dataclass(frozen=True, kw_only=True)
class StudyState:
    """A study at one moment. `running`: whether its execution runs; None if there is none."""

    name: str
    study: Study
    trials: Mapping[int, Trial]
    """Trials that are already determined or have started, by number."""
    results: Mapping[int, JobResult]
    costs: Mapping[int, Cost]
    """Cost of the trials that have started."""
    running_trials: frozenset[int]
    """Trials whose jobs are running."""
    lost: Mapping[int, tuple[str, str]]
    """Error and cause of started trials that ended without a result."""
    running: bool | None

    def state(self, trial: int) -> State:
        """Returns the state of a trial."""
        if trial in self.results:
            return State(self.results[trial].status)
        if trial in self.running_trials:
            return State.RUNNING
        return State.INTERRUPTED if trial in self.costs else State.WAITING

    def scores(self) -> dict[int, Score]:
        """Returns the metric of every trial that succeeded."""
        return {number: score for number, score in self.ended().items() if score is not None}

    def ended(self) -> dict[int, Score | None]:
        """Returns the metric of every trial with a result; None for failed ones."""
        from training.search.choice import Score

        return {
            number: Score.of(result.metrics, self.study.metric) if result.status == "succeeded" else None
            for number, result in self.results.items()
        }

    def left(self) -> list[int]:
        """Returns the trials without a result."""
        return [number for number in self.trials if number not in self.results]

    def usd(self) -> float:
        """Returns the cost of all trials so far, in USD."""
        return sum(cost.usd for cost in self.costs.values())


@dataclass
class Records:
    """Reads the records of one study; immutable ones are read once."""

    target: Target
    name: str
    _read: dict[str, object] = field(default_factory=dict[str, object])
    _results: dict[int, JobResult] = field(default_factory=dict[int, "JobResult"])
    _costs: dict[int, Cost] = field(default_factory=dict[int, Cost])

    @property
    def store(self) -> ObjectStore:
        """The workspace."""
        return workspace(self.target)

    def study(self) -> Study:
        """Returns the study. Raises `StudyMissing`."""
        from training.search.study import Study

        try:
            return self._get(study_key(self.name), Study.from_json)
        except ObjectMissing:
            raise StudyMissing(f"No study {self.name}.", next_step="petpark search list") from None

    def cancellation(self) -> Cancellation | None:
        """Returns the cancellation; None if the study was not cancelled."""
        from training.search.study import Cancellation

        try:
            return self._get(cancelled_key(self.name), Cancellation.from_json)
        except ObjectMissing:
            return None

    def ended(self) -> Table | None:
        """Returns the stored table of a study that has ended; None before `table` stored it."""
        try:
            return self._get(table_key(self.name), Table.from_json)
        except ObjectMissing:
            return None

    def state(self) -> StudyState:
        """Returns the current state. Reads executions before results: a job stores its result before it ends."""
        from training.search.study import plan, trial_of

        study = self.study()
        newest = executions.newest(self.target, machines(self.target).study, self.name)
        running_trials = frozenset(self._numbers(executions.running_names(self.target)))
        started = set(self._numbers(folders(self.store, JOBS, f"{self.name}-")))
        for number in started - self._results.keys():
            with suppress(ObjectMissing):
                self._results[number] = self._result(number)
        first = self.first()
        without_trials = StudyState(
            name=self.name,
            study=study,
            trials={},
            results=dict(self._results),
            costs={number: self._cost(number, final=number in self._results) for number in sorted(started)},
            running_trials=running_trials,
            lost={number: self._end(number, newest) for number in started - running_trials - self._results.keys()},
            running=None if newest is None else newest["status"] == "RUNNING",
        )
        numbers = sorted({*plan(study, without_trials.ended()), *started})
        return replace(without_trials, trials={number: trial_of(study, first, number) for number in numbers})

    def table(self, state: StudyState | None = None) -> Table:
        """Returns the study's table. That of an ended study is stored, create-only, and returned from then on."""
        from training.job import written

        if (stored := self.ended()) is not None:
            return stored
        state = state or self.state()
        cancellation = self.cancellation()
        if cancellation is not None:
            outcome: str | None = cancellation.outcome
        elif state.running:
            outcome = None
        else:
            outcome = "all trials ended" if not state.left() else self._unfinished(state)
        found = self._table(state, outcome, cancellation)
        if not state.running and not state.running_trials and (cancellation is not None or not state.left()):
            with suppress(ObjectExists):
                self.store.create(table_key(self.name), written(found))
            return self.ended() or found
        return found

    def _unfinished(self, state: StudyState) -> str:
        left = state.left()
        numbers = ", ".join(map(str, left))
        unfinished = f"{len(left)} of {len(state.trials)} trials have no result ({numbers})"
        if state.running is None and not state.costs:
            return f"the study was not started: petpark search resume {self.name}"
        limits = machines(self.target).limits
        price = limits.attempt_usd(state.study.spec.max_seconds)
        if budget_left(state, limits) < price:
            return f"the budget is used up: {unfinished}, and another attempt may cost {price:.2f} USD"
        return f"{unfinished}: petpark search resume {self.name}"

    def _table(self, state: StudyState, outcome: str | None, cancellation: Cancellation | None) -> Table:
        from training.search.choice import luck, ranked

        scores = state.scores()
        best, second, *_ = [*ranked(scores), None, None]
        chance = None
        if best is not None and second is not None:
            chance = luck(self._answers(best), self._answers(second), state.study.metric)
        return Table(
            study=self.name,
            metric=state.study.metric,
            dataset=state.study.spec.dataset,
            requested_by=state.study.spec.requested_by,
            created_at=state.study.created_at,
            budget=state.study.budget.limits(),
            rows=tuple(self._row(state, trial, scores) for trial in state.trials.values()),
            seconds=sum(cost.seconds for cost in state.costs.values()),
            usd=round(state.usd(), 6),
            best=best,
            second=second,
            luck=chance,
            outcome=outcome,
            cancelled_by=cancellation and cancellation.by,
        )

    def _row(self, state: StudyState, trial: Trial, scores: Mapping[int, Score]) -> Row:
        from training.search.study import parameters

        result, found = state.results.get(trial.number), scores.get(trial.number)
        cost = state.costs.get(trial.number, Cost())
        error, message = state.lost.get(trial.number, (None, None))
        return Row(
            trial=trial.number,
            job=trial_job(self.name, trial.number),
            rung=trial.rung,
            parent=trial.parent,
            settings=trial.values,
            epochs=parameters(state.study, trial).epochs,
            state=state.state(trial.number),
            launches=cost.launches,
            seconds=cost.seconds,
            usd=cost.usd,
            value=found and found.value,
            low=found and found.interval[0],
            high=found and found.interval[1],
            error=result.error if result else error,
            message=result.message if result else message,
        )

    def first(self) -> dict[int, Trial]:
        """Returns the stored trials of the first rung, without the epochs of their rung."""
        from training.search.study import Trial

        found = (self._get(key, Trial.from_json) for key in self.store.keys(trials_prefix(self.name)))
        return {trial.number: trial for trial in found}

    def _numbers(self, names: Iterator[str] | frozenset[str]) -> Iterator[int]:
        """Yield the trial numbers of those jobs or executions that belong to the study."""
        for name in names:
            if name.startswith(f"{self.name}-") and _NUMBER.match(digits := name[len(self.name) + 1 :][:6]):
                yield int(digits)

    def _result(self, trial: int) -> JobResult:
        from training.job import JobResult

        return JobResult.from_json(self.store.get(job_result_key(trial_job(self.name, trial))))

    def _cost(self, trial: int, *, final: bool) -> Cost:
        """Returns the cost of a trial; once it is final and settled, it is not read again."""
        if trial not in self._costs:
            spending = Spending(self.target, trial_job(self.name, trial))
            found = spending.cost()
            if not (final and spending.settled()):
                return found
            self._costs[trial] = found
        return self._costs[trial]

    def _end(self, trial: int, study: Mapping[str, Any] | None) -> tuple[str, str]:
        """Returns error and cause of a trial without a result, from the execution of its job."""
        name = str(study["executionArn"]).rpartition(":")[2] if study else self.name
        job = execution_of(trial_job(self.name, trial), name)
        found = executions.describe(self.target, executions.arn_of(machines(self.target).job, job)) or {}
        return str(found.get("error", "Interrupted")), str(found.get("cause", "it ended without a result"))

    def _answers(self, trial: int) -> Answers:
        from training.search.choice import Answers

        return self._get(validation_key(trial_job(self.name, trial)), Answers.from_json)

    def _get[T](self, key: str, read: Callable[[bytes], T]) -> T:
        if key not in self._read:
            self._read[key] = read(self.store.get(key))
        return cast("T", self._read[key])


def execution_of(job: str, study: str) -> str:
    """Returns the name of the execution in which a study's execution runs a job (`infra.pipeline.study_machine`)."""
    return f"{job}-{hashlib.sha256(study.encode()).hexdigest()[:12]}"


def budget(study: Study, limits: PipelineLimits) -> float:
    """Returns how much a study may spend, in USD: the lower of its own limits and the stack's."""
    return min(study.budget.usd(min(limits.usd_per_hour.values())), limits.execution_usd)


def budget_left(state: StudyState, limits: PipelineLimits) -> float:
    """Returns what is left of a study's budget, in USD."""
    return max(0.0, budget(state.study, limits) - state.usd())


def workspace(target: Target) -> ObjectStore:
    """Returns the store with the studies, in the publisher role."""
    return target.store(target.outputs.workspace, role=Role.PUBLISHER)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A study in a list. `study` is None if its records are malformed; `problem` says why.

    `outcome` is empty until it ends.
    """

    name: str
    study: Study | None
    table: Table | None
    outcome: str = ""
    problem: str = ""


def listed(target: Target, limit: int) -> list[Listed]:
    """Returns the newest studies by id, newest first, including malformed ones."""
    names = list(folders(workspace(target), STUDIES, ""))
    return [_listed(target, name) for name in reversed(names[-limit:])]


def _listed(target: Target, name: str) -> Listed:
    from training.errors import SpecMalformed

    records = Records(target, name)
    try:
        study, table = records.study(), records.ended()
        if table is None and target.outputs.pipeline is not None:
            table = records.table()
        outcome = (table and table.outcome) or ""
        return Listed(name=name, study=study, table=table, outcome=outcome)
    except SpecMalformed as error:
        return Listed(name=name, study=None, table=None, problem=f"{study_prefix(name)}: {error}")
    except StudyMissing:
        return Listed(name=name, study=None, table=None, problem=f"there is no {study_key(name)}")


def resolve(store: ObjectStore, beginning: str) -> str:
    """Returns the only study whose id starts with `beginning`. Raises `IdAmbiguous`."""
    found = folders(store, STUDIES, beginning)
    return complete("studies", beginning, found, listing="petpark search list")
