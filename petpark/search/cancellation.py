"""Cancels a study; its record says who did it, and why."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from petpark.errors import StudyFinished
from petpark.jobs import training_instances
from petpark.jobs.cancellation import require_reason
from registry import layout
from registry.clock import utc_now
from registry.encoding import format_time
from registry.errors import ObjectExists
from registry.layout import Role

if TYPE_CHECKING:
    from petpark.targets.target import Target


@dataclass(frozen=True, kw_only=True)
class CancelledStudy:
    """A study that was cancelled, by whom, the trials that ended so, and the instances that were ended for it."""

    study: str
    by: str
    why: str
    trials: tuple[int, ...]
    instances: tuple[str, ...]


def cancel_study(
    target: Target, study: str, *, why: str, tell: Callable[[str], object] = lambda _sentence: None
) -> CancelledStudy:
    """End `study`, its trials and their instances, permanently; repeated, it ends what was left over the first time.

    The record comes first, create-only. Then this drives the study as any driver does that finds the record: it ends
    trials that were begun and launches nothing. Raises `StudyFinished` where the study ended otherwise, `StudyMissing`.
    """
    from petpark.search.driver import Driver, Instances
    from petpark.search.records import Records
    from petpark.search.table import State
    from training.job import written
    from training.search.study import Cancellation

    require_reason(why)
    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    records = Records(store, study)
    records.study()
    if records.ended() is None:
        at = format_time(utc_now())
        cancellation = written(Cancellation(by=target.identity(role=Role.PUBLISHER), why=why, at=at))
        with suppress(ObjectExists):
            store.create(layout.cancelled_key(study), cancellation)
    before = _alive(target, study)
    table = Driver(store=store, name=study, machines=Instances(target=target, tell=tell), tell=tell).drive()
    kept = records.cancellation()
    if kept is None or table.cancelled_by is None:
        raise StudyFinished(
            f"Study {study} has ended already: {table.outcome}.", next_step=f"petpark search show {study}", study=study
        )
    return CancelledStudy(
        study=study,
        by=kept.by,
        why=kept.why,
        trials=tuple(row.trial for row in table.rows if row.state is State.CANCELLED),
        instances=tuple(sorted(before - _alive(target, study))),
    )


def _alive(target: Target, study: str) -> set[str]:
    launched = training_instances.launched(target, study).values()
    return {found.get("InstanceId", "") for found in launched if training_instances.is_alive(found)}
