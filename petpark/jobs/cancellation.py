"""Cancels a job; the job's result records who did it, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from petpark.errors import JobFinished, ReasonMissing
from petpark.jobs import executions, training_instances
from registry.layout.jobs import job_order_key
from registry.layout.roles import Role

if TYPE_CHECKING:
    from petpark.targets.target import Target
    from registry.store.object_store import ObjectStore


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """A job that was cancelled, by whom, and the instances that were ended for it."""

    job: str
    by: str
    why: str
    instances: tuple[str, ...]
    executions: tuple[str, ...] = ()
    """Names of the executions that were stopped."""


def cancel(target: Target, job: str, *, why: str) -> Cancelled:
    """End `job` forever, and its instances; repeated, it ends what was left over the first time.

    The job's result comes first, create-only: an instance that boots later finds it, and ends itself. A trial that is
    cancelled is one that failed; its study continues. Raises `JobFinished` if the job ended otherwise, training's
    `JobMissing`.
    """
    from training.job import store_cancelled

    require_reason(why)
    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    require_job(store, job)
    by = target.identity(role=Role.PUBLISHER)
    ended = store_cancelled(store, job, by=by, why=why)
    if ended.status != "cancelled":
        outcome = f"version {ended.version}" if ended.version else ended.error or ended.status
        raise JobFinished(f"Job {job} has ended already: {outcome}.", next_step=f"petpark jobs show {job}", job=job)
    # Its executions before its instances: they would launch others.
    stopped = executions.stop(target, job, why=why) if target.outputs.pipeline else []
    alive = [
        instance.get("InstanceId", "")
        for instance in training_instances.of_job(target, job)
        if training_instances.is_alive(instance)
    ]
    training_instances.end(target, alive)
    return Cancelled(
        job=job,
        by=ended.by or by,
        why=ended.message or why,
        instances=tuple(alive),
        executions=tuple(each.name for each in stopped),
    )


def require_job(store: ObjectStore, job: str) -> None:
    """Raise training's `JobMissing` where nobody submitted or ordered a job."""
    from training.job import load_spec

    if store.stat(job_order_key(job)) is None:
        load_spec(store, job)


def require_reason(why: str) -> None:
    """Raise `ReasonMissing` if nobody would learn why."""
    if not why.strip():
        raise ReasonMissing("No reason was given.", next_step='State the reason, which is recorded: --why "..."')
