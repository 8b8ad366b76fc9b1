"""Summaries of jobs: the rows of `petpark jobs list`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from petpark.jobs import executions, training_instances
from registry.errors import ObjectMissing
from registry.gates import failed
from registry.layout.jobs import JOBS, job_order_key, job_prefix
from registry.layout.roles import Role
from training.errors import SpecMalformed

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from petpark.targets.target import Target
    from registry.store.object_store import ObjectStore
    from training.job import JobResult


class Stage(StrEnum):
    """Stage of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNREADABLE = "unreadable"
    """Its records are malformed; `error` names the record and the problem."""


@dataclass(frozen=True, kw_only=True)
class JobSummary:
    """One job. Fields that cannot be read are empty if it is unreadable."""

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
    """Names of the gates that its version failed."""
    purpose: str = "train"
    """Purpose in its order; `train` or `trial` for a submitted job."""
    outcome: str | None = None
    """Outcome of a successful job, one of its purpose's outcomes."""


def summaries(target: Target, *, limit: int = 20) -> list[JobSummary]:
    """Returns the `limit` newest jobs, newest first, including unreadable ones.

    A job's age is that of its oldest record.
    """
    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    keys: dict[str, list[str]] = {}
    age: dict[str, timedelta] = {}
    for stored in store.stats(JOBS):
        job, _, rest = stored.key.removeprefix(JOBS).partition("/")
        keys.setdefault(job, []).append(rest)
        age[job] = max(stored.age, age.get(job, stored.age))
    instances, running = training_instances.by_job(target), _running(target)
    return [
        _listed(store, job, keys[job], _Machines(instances.get(job), _of(running, job)))
        for job in sorted(sorted(keys, reverse=True), key=age.__getitem__)[:limit]
    ]


def summary(target: Target, job: str) -> JobSummary:
    """Returns the summary of one job. Raises training's `JobMissing`, `SpecMalformed`."""
    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    keys = [key.removeprefix(job_prefix(job)) for key in store.keys(job_prefix(job))]
    return _summary(store, job, keys, _Machines(training_instances.newest(target, job), _of(_running(target), job)))


@dataclass(frozen=True)
class _Machines:
    """A job's newest instance, and whether an execution of the state machine runs the job."""

    instance: InstanceTypeDef | None
    ordered: bool

    @property
    def instance_id(self) -> str | None:
        return None if self.instance is None else self.instance.get("InstanceId")


def _running(target: Target) -> frozenset[str]:
    """Returns the names of running executions; none for a stack without a pipeline."""
    return executions.running_names(target) if target.outputs.pipeline else frozenset()


def _of(running: frozenset[str], job: str) -> bool:
    return any(name == job or name.startswith(f"{job}-") for name in running)


def _listed(store: ObjectStore, job: str, keys: list[str], machines: _Machines) -> JobSummary:
    from training.errors import JobMissing

    try:
        return _summary(store, job, keys, machines)
    except SpecMalformed as error:
        problem = f"{job_prefix(job)}: {error}"
    except (JobMissing, ObjectMissing):
        problem = f"{job_prefix(job)}{keys[0]}: no job {job}".replace(f"{job}/:", f"{job}:")
    return JobSummary(
        job=job,
        stage=Stage.UNREADABLE,
        epochs=_count(keys, "epochs/"),
        checkpoints=_count(keys, "checkpoints/"),
        dataset="",
        requested_by="",
        instance_id=machines.instance_id,
        version=None,
        error=problem,
        study=None,
        gates_failed=(),
    )


def _summary(store: ObjectStore, job: str, keys: list[str], machines: _Machines) -> JobSummary:
    from training.job import find_result, load_spec

    result = find_result(store, job) if "result.json" in keys else None
    if "order.json" in keys and "spec.json" not in keys:
        return _ordered(store, job, result, machines)
    spec = load_spec(store, job)
    return JobSummary(
        job=job,
        stage=_stage(result, machines),
        epochs=_count(keys, "epochs/"),
        checkpoints=_count(keys, "checkpoints/"),
        dataset=spec.dataset,
        requested_by=spec.requested_by,
        instance_id=machines.instance_id,
        version=None if result is None else result.version,
        error=None if result is None else result.error,
        study=spec.study,
        gates_failed=() if result is None else failed(result.metrics),
        purpose="trial" if spec.study else "train",
        outcome=None if result is None else result.outcome,
    )


def _ordered(store: ObjectStore, job: str, result: JobResult | None, machines: _Machines) -> JobSummary:
    """Returns the summary of a job with an order and without a spec."""
    try:
        order: dict[str, Any] = json.loads(store.get(job_order_key(job)))
        purpose, requested_by = str(order["purpose"]), str(order["requested_by"])
        dataset = str(order["inputs"].get("dataset", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SpecMalformed(f"malformed order: {error!r}") from error
    return JobSummary(
        job=job,
        stage=_stage(result, machines),
        epochs=0,
        checkpoints=0,
        dataset=dataset,
        requested_by=requested_by,
        instance_id=machines.instance_id,
        version=None if result is None else result.version,
        error=None if result is None else result.error,
        study=None,
        gates_failed=(),
        purpose=purpose,
        outcome=None if result is None else result.outcome,
    )


def _count(keys: list[str], prefix: str) -> int:
    return sum(key.startswith(prefix) for key in keys)


def _stage(result: JobResult | None, machines: _Machines) -> Stage:
    if result is not None and not (machines.ordered and result.status == "failed"):
        return Stage(result.status)
    if machines.ordered or (machines.instance is not None and training_instances.is_alive(machines.instance)):
        return Stage.RUNNING
    return Stage.WAITING if machines.instance is None else Stage.INTERRUPTED
