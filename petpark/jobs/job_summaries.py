"""How far jobs are: the lines of `petpark jobs list`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from petpark.jobs import training_instances
from registry import layout
from registry.errors import ObjectMissing
from registry.gates import failed

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from petpark.targets.target import Target
    from registry.store.object_store import ObjectStore
    from training.job import JobResult


class Stage(StrEnum):
    """How far a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNREADABLE = "unreadable"
    """Its records are not what petpark writes; `error` says which, and why."""


@dataclass(frozen=True, kw_only=True)
class JobSummary:
    """One job. What cannot be read of an unreadable one is empty."""

    job: str
    stage: Stage
    epochs: int
    checkpoints: int
    dataset: str
    requested_by: str
    instance_id: str | None
    version: int | None
    error: str | None
    study: str | None
    gates_failed: tuple[str, ...]
    """Names of the gates that its version did not pass."""


def summaries(target: Target, *, limit: int = 20) -> list[JobSummary]:
    """The newest `limit` jobs, newest first. What lies among them and is none is one all the same: unreadable."""
    store = target.store(target.outputs.workspace, role=layout.Role.PUBLISHER)
    keys: dict[str, list[str]] = {}
    for key in store.keys(layout.JOBS):
        job, _, rest = key.removeprefix(layout.JOBS).partition("/")
        keys.setdefault(job, []).append(rest)
    instances = training_instances.by_job(target)
    return [_listed(store, job, keys[job], instances.get(job)) for job in sorted(keys, reverse=True)[:limit]]


def summary(target: Target, job: str) -> JobSummary:
    """One job; raises training's `JobMissing`, `SpecMalformed`."""
    store = target.store(target.outputs.workspace, role=layout.Role.PUBLISHER)
    keys = [key.removeprefix(layout.job_prefix(job)) for key in store.keys(layout.job_prefix(job))]
    return _summary(store, job, keys, training_instances.newest(target, job))


def _listed(store: ObjectStore, job: str, keys: list[str], instance: InstanceTypeDef | None) -> JobSummary:
    from training.errors import JobMissing, SpecMalformed

    try:
        return _summary(store, job, keys, instance)
    except SpecMalformed as error:
        problem = f"{layout.job_prefix(job)}: {error}"
    except (JobMissing, ObjectMissing):
        problem = f"{layout.job_prefix(job)}{keys[0]}: no job {job}".replace(f"{job}/:", f"{job}:")
    return JobSummary(
        job=job,
        stage=Stage.UNREADABLE,
        epochs=_count(keys, "epochs/"),
        checkpoints=_count(keys, "checkpoints/"),
        dataset="",
        requested_by="",
        instance_id=None if instance is None else instance.get("InstanceId"),
        version=None,
        error=problem,
        study=None,
        gates_failed=(),
    )


def _summary(store: ObjectStore, job: str, keys: list[str], instance: InstanceTypeDef | None) -> JobSummary:
    from training.job import find_result, load_spec

    spec = load_spec(store, job)
    result = find_result(store, job) if "result.json" in keys else None
    return JobSummary(
        job=job,
        stage=_stage(result, instance),
        epochs=_count(keys, "epochs/"),
        checkpoints=_count(keys, "checkpoints/"),
        dataset=spec.dataset,
        requested_by=spec.requested_by,
        instance_id=None if instance is None else instance.get("InstanceId"),
        version=None if result is None else result.version,
        error=None if result is None else result.error,
        study=spec.study,
        gates_failed=() if result is None else failed(result.metrics),
    )


def _count(keys: list[str], prefix: str) -> int:
    return sum(key.startswith(prefix) for key in keys)


def _stage(result: JobResult | None, instance: InstanceTypeDef | None) -> Stage:
    if result is not None:
        return Stage(result.status)
    if instance is None:
        return Stage.WAITING
    return Stage.RUNNING if training_instances.is_alive(instance) else Stage.INTERRUPTED
