"""Cancels a study; its record says who did it, and why."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from petpark.errors import StudyFinished
from petpark.jobs import executions, training_instances
from petpark.jobs.cancellation import require_reason
from petpark.search.records import Records
from petpark.search.table import State
from registry.clock import utc_now
from registry.encoding import format_time
from registry.errors import ObjectExists
from registry.layout.roles import Role
from registry.layout.workspace import cancelled_key, trial_job

if TYPE_CHECKING:
    from petpark.targets.target import Target


@dataclass(frozen=True, kw_only=True)
class CancelledStudy:
    """A study that was cancelled, by whom, its cancelled trials, and what was ended for it."""

    study: str
    by: str
    why: str
    trials: tuple[int, ...]
    instances: tuple[str, ...]
    executions: tuple[str, ...]
    """Names of the executions that were stopped."""


def cancel_study(target: Target, study: str, *, why: str) -> CancelledStudy:
    """End `study`, its trials and their instances, permanently; repeated, it ends what was left over the first time.

    The record comes first, create-only. Executions are stopped before instances are terminated: they would launch
    others. The study's own is stopped before those of its jobs, for the same reason. Raises `StudyFinished` if the
    study ended otherwise, `StudyMissing`, `StackOutdated`.
    """
    from training.job import store_cancelled, written
    from training.search.study import Cancellation

    require_reason(why)
    state_machines = executions.machines(target)
    records = Records(target, study)
    records.study()
    records.table()
    ended = records.ended()
    if ended is not None and ended.cancelled_by is None:
        raise StudyFinished(
            f"Study {study} has ended already: {ended.outcome}.",
            next_step=f"petpark search show {study}",
            study=study,
        )
    by = target.identity(role=Role.PUBLISHER)
    with suppress(ObjectExists):
        at = format_time(utc_now())
        records.store.create(cancelled_key(study), written(Cancellation(by=by, why=why, at=at)))
    kept = records.cancellation() or Cancellation(by=by, why=why, at="")
    stopped = [
        *executions.stop_named(target, state_machines.study, study, why=kept.why),
        *executions.stop_named(target, state_machines.job, study, why=kept.why),
    ]
    look = records.look()
    for trial in look.costs.keys() - look.results.keys():
        store_cancelled(records.store, trial_job(study, trial), by=kept.by, why=kept.why)
    alive = [
        instance.get("InstanceId", "")
        for instance in training_instances.of_job(target, f"{study}-*")
        if training_instances.is_alive(instance)
    ]
    training_instances.end(target, alive)
    table = records.table()
    return CancelledStudy(
        study=study,
        by=kept.by,
        why=kept.why,
        trials=tuple(row.trial for row in table.rows if row.state is State.CANCELLED),
        instances=tuple(sorted(alive)),
        executions=tuple(each.name for each in stopped),
    )
