"""Search over hyper-parameters: every trial is a job, every launch is recorded first. The driver may crash at any call.

What is decided, and why it cannot launch twice or spend too much: `docs/design/search.md`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from petpark.errors import DENIED, NoCapacity, QuotaReached
from petpark.jobs import submission, training_instances
from petpark.jobs.launches import quota_step
from petpark.search.records import Records, StudyState, reservation
from petpark.search.table import State, Table
from petpark.targets.target import Target
from registry import layout
from registry.errors import ObjectExists

if TYPE_CHECKING:
    from registry.store.object_store import ObjectStore
    from training.search.budget import Entry
    from training.search.study import Cancellation, Trial

type Tell = Callable[[str], object]
"""Hears in a sentence what happens."""


class TrainingInstances(Protocol):
    """Who runs jobs: instances, each known by the token of its launch."""

    def launch(self, job: str, token: str) -> None:
        """Start an instance for `job`; the same token returns the same one. Raises `NoCapacity`."""
        ...

    def alive(self, study: str) -> Mapping[str, bool]:
        """Token -> whether its instance is at work, of all instances of a study that are still known."""
        ...

    def end(self, study: str, token: str) -> bool:
        """End an instance, whatever it does; False where we may not: its own watchdog will."""
        ...


@dataclass(frozen=True, kw_only=True)
class Instances:
    """The stack's training instances."""

    target: Target
    tell: Tell = lambda _sentence: None

    def launch(self, job: str, token: str) -> None:
        """See Machines."""
        submission.launch(self.target, job, token=token, tell=self.tell)

    def alive(self, study: str) -> Mapping[str, bool]:
        """See Machines."""
        launched = training_instances.launched(self.target, study)
        return {token: training_instances.is_alive(found) for token, found in launched.items()}

    def end(self, study: str, token: str) -> bool:
        """See Machines."""
        found = training_instances.launched(self.target, study).get(token)
        try:
            if found is not None:
                training_instances.end(self.target, [found.get("InstanceId", "")])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in DENIED:
                raise
            return False
        return True


@dataclass
class Driver:
    """Launches a study's trials as far as its budget allows, and waits for them."""

    store: ObjectStore
    name: str
    machines: TrainingInstances
    poll: float = 5.0
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    tell: Tell = lambda _sentence: None
    _asked: set[int] = field(default_factory=set[int], init=False)
    _overdue: set[int] = field(default_factory=set[int], init=False)

    def drive(self) -> Table:
        """Go on with the study until it has ended; its table. Raises `NoCapacity` when only that is in the way.

        Once the study is cancelled, this launches nothing, ends what still runs, and returns.
        """
        records = Records(self.store, self.name, self.clock)
        ended = records.ended()
        if ended is not None:
            if ended.cancelled_by is not None:
                self._end_instances(self.machines.alive(self.name))
            return ended
        full: NoCapacity | None = None
        reported = dict[int, State]()
        while True:
            look = records.look(self.machines.alive(self.name))
            self._say(look, reported)
            cancellation = records.cancellation()
            if cancellation is not None:
                return self._cancel(records, look, cancellation)
            at_work, startable = look.open_entries(), look.startable()
            try:
                self._look_after(look, at_work)
                if startable and len(at_work) < look.study.parallel and full is None and look.affords():
                    self._start(look, startable[0])
                    continue
            except NoCapacity as error:
                full = error
                continue
            if not at_work:
                break
            self.pause(self.poll)
        if full is not None and startable and look.affords():
            raise self._stopped(full)
        return self._end(records, look)

    def _stopped(self, full: NoCapacity) -> NoCapacity:
        """The same outcome, with the study's own next step: its trials are resumed by the study only."""
        again = f"petpark search resume {self.name}"
        if isinstance(full, QuotaReached):
            step = f"{quota_step(full.quotas)}. Then {again}"
            return QuotaReached(full.message, next_step=step, study=self.name, quotas=full.quotas)
        return NoCapacity(full.message, next_step=f"Try again later: {again}", study=self.name)

    def _start(self, look: StudyState, trial: Trial) -> None:
        from training.job import JobExists, submit, written
        from training.search.study import Launch, spec_of

        number, job = len(look.entries) + 1, layout.trial_job(self.name, trial.number)
        with suppress(ObjectExists):
            self.store.create(layout.trial_key(self.name, trial.number), written(trial))
        with suppress(JobExists):
            submit(self.store, job, spec_of(look.study, self.name, trial))
        launch = Launch(trial=trial.number, seconds=reservation(look.study))
        try:
            self.store.create(layout.launch_key(self.name, number), written(launch))
        except ObjectExists:
            return  # another driver was first, or we were, and lost the answer: the ledger says
        self._asked.add(number)
        self._launch(number, job)

    def _launch(self, number: int, job: str) -> None:
        # Asked after the ledger was written: anyone who cancelled either finds this launch there, or is found here.
        if Records(self.store, self.name).cancellation() is not None:
            return
        try:
            self.machines.launch(job, layout.launch_token(self.name, number))
        except NoCapacity:
            with suppress(ObjectExists):
                self.store.create(layout.refused_key(self.name, number), b"{}")
            raise

    def _look_after(self, look: StudyState, at_work: list[Entry]) -> None:
        """Launch again what an earlier driver may have died before launching, and end what outlives its time."""
        for entry in at_work:
            token = layout.launch_token(self.name, entry.number)
            if token not in look.alive and entry.number not in self._asked:
                self._asked.add(entry.number)
                self._launch(entry.number, layout.trial_job(self.name, entry.trial))
            elif look.alive.get(token) and look.now - entry.born > entry.most:
                ended = self.machines.end(self.name, token)
                if entry.number not in self._overdue:
                    self._overdue.add(entry.number)
                    how = "is ended" if ended else "is not ours to end; its own watchdog will"
                    self.tell(f"trial {entry.trial} has used up its time: its instance {how}")

    def _cancel(self, records: Records, look: StudyState, cancellation: Cancellation) -> Table:
        """End every trial that was begun, its result first: an instance that boots later finds it and ends itself."""
        from training.job import store_cancelled

        for trial in sorted({entry.trial for entry in look.entries} - look.results.keys()):
            job = layout.trial_job(self.name, trial)
            store_cancelled(self.store, job, by=cancellation.by, why=cancellation.why)
        self._end_instances(look.alive)
        # With the trials of before: to end a rung begins no other.
        after = replace(records.look(self.machines.alive(self.name)), trials=look.trials)
        return self._end(records, after)

    def _end_instances(self, alive: Mapping[str, bool]) -> None:
        for token in sorted(token for token, at_work in alive.items() if at_work):
            if not self.machines.end(self.name, token):
                self.tell(f"no permission to terminate the instance of launch {token}; its own watchdog will")

    def _say(self, look: StudyState, reported: dict[int, State]) -> None:
        scores = look.scores()
        for trial in look.trials:
            state = look.state(trial.number)
            if state is not reported.get(trial.number, State.WAITING):
                reported[trial.number] = state
                score, result = scores.get(trial.number), look.results.get(trial.number)
                found = f", {look.study.metric} {score.value:.3f}" if score else ""
                why = f": {result.error}" if result is not None and result.error else ""
                self.tell(f"trial {trial.number} {state}{found}{why}")

    def _end(self, records: Records, look: StudyState) -> Table:
        from training.job import written

        table = records.table(look, _outcome(look))
        with suppress(ObjectExists):  # another driver ended it with the same rows
            self.store.create(layout.table_key(self.name), written(table))
        return records.ended() or table


def _outcome(look: StudyState) -> str:
    left = look.startable()
    if not left:
        return "all trials ended"
    names = ", ".join(str(number) for number in sorted(trial.number for trial in left))
    hours = reservation(look.study) / 3600
    return (
        f"the budget is used up: {len(left)} of {len(look.trials)} trials did not end ({names}), "
        f"and one more may take {hours:.2f} hours"
    )
