"""Cancel a study; its record says who cancelled it, and why."""

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
    """A cancelled study: by whom, why, its cancelled trials, and the terminated instances and executions."""

    study: str
    by: str
    why: str
    trials: tuple[int, ...]
    instances: tuple[str, ...]
    executions: tuple[str, ...]
    """Names of the stopped executions."""


def cancel_study(target: Target, study: str, *, why: str) -> CancelledStudy:
    """Cancel `study` and its trials permanently. Idempotent: a repeated call completes an interrupted one.

    The record is stored first, create-only. Executions are stopped before instances are terminated, and the study's
    before those of its jobs: they would start replacements. Raises `StudyFinished` if the study has already ended,
    `StudyMissing`, `StackOutdated`, `ReasonMissing`.
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
            f"Study {study} has already ended: {ended.outcome}.",
            next_step=f"petpark search show {study}",
            study=study,
        )
    by = target.identity(role=Role.PUBLISHER)
    with suppress(ObjectExists):
        at = format_time(utc_now())
        records.store.create(cancelled_key(study), written(Cancellation(by=by, why=why, at=at)))
    stored = records.cancellation() or Cancellation(by=by, why=why, at="")
    stopped = [
        *executions.stop_named(target, state_machines.study, study, why=stored.why),
        *executions.stop_named(target, state_machines.job, study, why=stored.why),
    ]
    state = records.state()
    for trial in state.costs.keys() - state.results.keys():
        store_cancelled(records.store, trial_job(study, trial), by=stored.by, why=stored.why)
    alive = [
        instance.get("InstanceId", "")
        for instance in training_instances.of_job(target, f"{study}-*")
        if training_instances.is_alive(instance)
    ]
    training_instances.end(target, alive)
    table = records.table()
    return CancelledStudy(
        study=study,
        by=stored.by,
        why=stored.why,
        trials=tuple(row.trial for row in table.rows if row.state is State.CANCELLED),
        instances=tuple(sorted(alive)),
        executions=tuple(each.name for each in stopped),
    )
