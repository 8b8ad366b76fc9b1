"""A study's records: which trials there are, how far each is, and how long its instances ran."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

from petpark.errors import StudyMissing
from petpark.ids import complete, folders
from petpark.search.table import Row, State, Table
from registry import layout
from registry.errors import ObjectMissing

if TYPE_CHECKING:
    from registry.store.object_store import ObjectStore
    from training.job import JobResult
    from training.search.budget import Entry
    from training.search.choice import Answers, Score
    from training.search.study import Cancellation, Study, Trial

MOST_LAUNCHES: Final = 5
"""Instances that may end without a result before a trial is given up."""

FORGOTTEN: Final = 600.0
"""Seconds after which a launch of which EC2 shows nothing is one that ended."""

_STARTABLE: Final = (State.WAITING, State.INTERRUPTED)


@dataclass(frozen=True, kw_only=True)
class StudyState:
    """A study at one moment. `alive`: for a launch's token, whether its instance is running, as EC2 reports it."""

    name: str
    study: Study
    trials: tuple[Trial, ...]
    entries: tuple[Entry, ...]
    results: Mapping[int, JobResult]
    ends: Mapping[int, float]
    alive: Mapping[str, bool]
    now: float

    def open_entries(self) -> list[Entry]:
        """Launches whose instances may still be at work."""
        last = {entry.trial: entry for entry in self.entries if not entry.refused}
        return [entry for trial, entry in last.items() if trial not in self.results and not self._is_over(entry)]

    def startable(self) -> list[Trial]:
        """Trials that want an instance: interrupted ones first, for they are half paid for."""
        states = {trial.number: self.state(trial.number) for trial in self.trials}
        waiting = [trial for trial in self.trials if states[trial.number] in _STARTABLE]
        return sorted(waiting, key=lambda trial: states[trial.number] is not State.INTERRUPTED)

    def affords(self) -> bool:
        """Whether the budget allows one more instance, if all that are at work took all of their time."""
        from training.search.budget import spent

        seconds = sum(spent(self.entries, self.ends, self.now).values())
        return self.study.budget.allows(seconds + reservation(self.study))

    def state(self, trial: int) -> State:
        """How far a trial is."""
        if trial in self.results:
            return State(self.results[trial].status)
        launches = [entry for entry in self.entries if entry.trial == trial and not entry.refused]
        if not launches:
            return State.WAITING
        if not self._is_over(launches[-1]):
            return State.RUNNING
        return State.FAILED if len(launches) >= MOST_LAUNCHES else State.INTERRUPTED

    def scores(self) -> dict[int, Score]:
        """The metric of every trial that succeeded."""
        from training.search.choice import Score

        return {
            number: Score.of(result.metrics, self.study.metric)
            for number, result in self.results.items()
            if result.status == "succeeded"
        }

    def bounds(self) -> dict[int, float | None]:
        """The lower bound of every trial that ended; None for those that failed."""
        scores = self.scores()
        ended = (number for number in {entry.trial for entry in self.entries} if self.state(number) not in _STARTABLE)
        done = (number for number in ended if self.state(number) is not State.RUNNING)
        return {number: scores[number].interval[0] if number in scores else None for number in done}

    def _is_over(self, entry: Entry) -> bool:
        seen = self.alive.get(layout.launch_token(self.name, entry.number))
        return self.now - entry.born > FORGOTTEN if seen is None else not seen


@dataclass
class Records:
    """The records of one study; those that cannot change are read once. `clock` only measures durations."""

    store: ObjectStore
    name: str
    clock: Callable[[], float] = time.monotonic
    _read: dict[str, object] = field(default_factory=dict[str, object])
    _ends: dict[int, float] = field(default_factory=dict[int, float])

    def study(self) -> Study:
        """What is searched; raises `StudyMissing`."""
        from training.search.study import Study

        try:
            return self._get(layout.study_key(self.name), Study.from_json)
        except ObjectMissing:
            raise StudyMissing(f"No study {self.name}.", next_step="petpark search list") from None

    def ended(self) -> Table | None:
        """The table of a study that has ended."""
        try:
            return self._get(layout.table_key(self.name), Table.from_json)
        except ObjectMissing:
            return None

    def cancellation(self) -> Cancellation | None:
        """Who cancelled the study; None if it was not cancelled."""
        from training.search.study import Cancellation

        try:
            return self._get(layout.cancelled_key(self.name), Cancellation.from_json)
        except ObjectMissing:
            return None

    def look(self, alive: Mapping[str, bool]) -> StudyState:
        """The current records; `alive` was read before, because a job has its result before its instance ends."""
        from training.search.study import plan

        study, entries = self.study(), self._entries(alive)
        for trial in {entry.trial for entry in entries} - self._ends.keys():
            found = self.store.stat(layout.job_result_key(self._job(trial)))
            if found is not None:
                self._ends[trial] = self.clock() - found.age.total_seconds()
        bare = StudyState(
            name=self.name,
            study=study,
            trials=(),
            entries=entries,
            results={trial: self._result(trial) for trial in sorted(self._ends)},
            ends=dict(self._ends),
            alive=alive,
            now=self.clock(),
        )
        # What was begun stays, whatever a later look at the cloud would have chosen.
        trials = {trial.number: trial for trial in plan(study, bare.bounds())} | self._trials()
        return replace(bare, trials=tuple(trials[number] for number in sorted(trials)))

    def table(self, look: StudyState, outcome: str | None = None) -> Table:
        """The study as people read it; a cancelled one says so, whatever the `outcome`."""
        from training.search.budget import spent
        from training.search.choice import luck, ranked

        seconds = spent(look.entries, look.ends, look.now)
        scores, budget = look.scores(), look.study.budget
        best, second, *_ = [*ranked(scores), None, None]
        chance = None
        if best is not None and second is not None:
            chance = luck(self._answers(best), self._answers(second), look.study.metric)
        total = sum(seconds.values())
        cancelled = self.cancellation()
        if cancelled is not None:
            outcome = cancelled.outcome
        return Table(
            study=self.name,
            metric=look.study.metric,
            dataset=look.study.spec.dataset,
            requested_by=look.study.spec.requested_by,
            created_at=look.study.created_at,
            budget=budget.limits(),
            rows=tuple(self._row(look, trial, seconds) for trial in look.trials),
            seconds=total,
            usd=budget.usd(total),
            best=best,
            second=second,
            luck=chance,
            outcome=outcome,
            cancelled_by=cancelled and cancelled.by,
        )

    def _row(self, look: StudyState, trial: Trial, seconds: Mapping[int, float]) -> Row:
        from training.search.study import parameters

        state, result, score = look.state(trial.number), look.results.get(trial.number), look.scores()
        entries = [entry for entry in look.entries if entry.trial == trial.number and not entry.refused]
        took = sum(seconds[entry.number] for entry in entries)
        lost = state is State.FAILED and result is None
        found = score.get(trial.number)
        return Row(
            trial=trial.number,
            job=self._job(trial.number),
            rung=trial.rung,
            parent=trial.parent,
            settings=trial.values,
            epochs=parameters(look.study, trial).epochs,
            state=state,
            launches=len(entries),
            seconds=took,
            usd=look.study.budget.usd(took),
            value=found and found.value,
            low=found and found.interval[0],
            high=found and found.interval[1],
            error="InstancesLost" if lost else result and result.error,
            message=f"{MOST_LAUNCHES} instances terminated without a result" if lost else result and result.message,
        )

    def _trials(self) -> dict[int, Trial]:
        from training.search.study import Trial

        found = (self._get(key, Trial.from_json) for key in self.store.keys(layout.trials_prefix(self.name)))
        return {trial.number: trial for trial in found}

    def _entries(self, alive: Mapping[str, bool]) -> tuple[Entry, ...]:
        from training.search.budget import Entry
        from training.search.study import Launch

        refused = {key.rpartition("/")[2] for key in self.store.keys(layout.refused_prefix(self.name))}
        entries: list[Entry] = []
        for stored in self.store.stats(layout.launches_prefix(self.name)):
            launch, file = self._get(stored.key, Launch.from_json), stored.key.rpartition("/")[2]
            number = int(file.removesuffix(".json"))
            entries.append(
                Entry(
                    number=number,
                    trial=launch.trial,
                    most=launch.seconds,
                    born=self.clock() - stored.age.total_seconds(),
                    # Of two drivers that launched at once, one may have been refused and the other not.
                    refused=file in refused and layout.launch_token(self.name, number) not in alive,
                    alive=alive.get(layout.launch_token(self.name, number), False),
                )
            )
        return tuple(entries)

    def _result(self, trial: int) -> JobResult:
        from training.job import JobResult

        return self._get(layout.job_result_key(self._job(trial)), JobResult.from_json)

    def _answers(self, trial: int) -> Answers:
        from training.search.choice import Answers

        return self._get(layout.validation_key(self._job(trial)), Answers.from_json)

    def _job(self, trial: int) -> str:
        return layout.trial_job(self.name, trial)

    def _get[T](self, key: str, read: Callable[[bytes], T]) -> T:
        if key not in self._read:
            self._read[key] = read(self.store.get(key))
        return cast("T", self._read[key])


def reservation(study: Study) -> int:
    """Seconds that one instance of a study may take at most."""
    from training.search.budget import AROUND

    return study.spec.max_seconds + AROUND


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A study among others. `study` is None if its records are malformed; `problem` says why.

    `outcome` is empty while it continues.
    """

    name: str
    study: Study | None
    table: Table | None
    outcome: str = ""
    problem: str = ""


def listed(store: ObjectStore, limit: int) -> list[Listed]:
    """The newest studies by id, newest first, and malformed ones among them."""
    names = list(folders(store, layout.STUDIES, ""))
    return [_listed(store, name) for name in reversed(names[-limit:])]


def _listed(store: ObjectStore, name: str) -> Listed:
    from training.errors import SpecMalformed

    records = Records(store, name)
    try:
        study, table = records.study(), records.ended()
        cancelled = records.cancellation() if table is None else None
        outcome = table.outcome or "" if table else cancelled.outcome if cancelled else ""
        return Listed(name=name, study=study, table=table, outcome=outcome)
    except SpecMalformed as error:
        return Listed(name=name, study=None, table=None, problem=f"{layout.study_prefix(name)}: {error}")
    except StudyMissing:
        return Listed(name=name, study=None, table=None, problem=f"there is no {layout.study_key(name)}")


def resolve(store: ObjectStore, beginning: str) -> str:
    """The one study whose id begins so; raises `IdAmbiguous`."""
    found = folders(store, layout.STUDIES, beginning)
    return complete("studies", beginning, found, listing="petpark search list")
