"""Cancel a job; its result records who cancelled it, and why."""

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
    """A cancelled job: by whom, why, and which instances were terminated."""

    job: str
    by: str
    why: str
    instances: tuple[str, ...]
    executions: tuple[str, ...] = ()
    """Names of the stopped executions."""


def cancel(target: Target, job: str, *, why: str) -> Cancelled:
    """Cancel `job` permanently and terminate its instances. Idempotent: a repeated call completes an interrupted one.

    The result is stored first, create-only: an instance that boots later finds it and shuts down. A cancelled trial
    counts as failed; its study continues. Raises `JobFinished` if the job has another result, training's `JobMissing`
    if it does not exist, and `ReasonMissing` if `why` is blank.
    """
    from training.job import store_cancelled

    require_reason(why)
    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    require_job(store, job)
    by = target.identity(role=Role.PUBLISHER)
    ended = store_cancelled(store, job, by=by, why=why)
    if ended.status != "cancelled":
        outcome = f"version {ended.version}" if ended.version else ended.error or ended.status
        raise JobFinished(f"Job {job} has already ended: {outcome}.", next_step=f"petpark jobs show {job}", job=job)
    # Executions first: they would replace the terminated instances.
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
    """Raise training's `JobMissing` if the job has neither an order nor a spec."""
    from training.job import load_spec

    if store.stat(job_order_key(job)) is None:
        load_spec(store, job)


def require_reason(why: str) -> None:
    """Raise `ReasonMissing` if `why` is blank."""
    if not why.strip():
        raise ReasonMissing("No reason was given.", next_step='State the reason, which is recorded: --why "..."')
