"""Training on provisioned instances: submit a job, start its instance, watch it, resume it after an interruption."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from petpark import datasets
from petpark import gates as gating
from petpark.errors import (
    JobFailed,
    JobFinished,
    JobInterrupted,
    JobOfStudy,
    TooManyInstances,
    WeightsMissing,
)
from petpark.launches import launch
from petpark.target import Target
from registry import layout
from registry.gates import failed

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from registry.object_store import ObjectStore
    from training.hyper_parameters import HyperParameters
    from training.job import EpochRecord, JobResult, JobSpec

_ALIVE = frozenset({"pending", "running"})
_WEIGHTS = "weights.pt"
_APPEARS_WITHIN = 60.0
"""Seconds after which a launched instance that nobody has seen counts as ended: EC2 is eventually consistent."""


class Stage(StrEnum):
    """How far a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class InstanceSeen:
    """The instance that runs the job changed its state."""

    instance_id: str
    state: str


@dataclass(frozen=True, kw_only=True)
class EpochSeen:
    """The job finished an epoch."""

    record: EpochRecord


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The job succeeded; always the last event."""

    result: JobResult


type JobEvent = InstanceSeen | EpochSeen | Finished


@dataclass(frozen=True, kw_only=True)
class JobSummary:
    """One line of `petpark jobs list`."""

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


def plan(
    target: Target,
    dataset: str,
    settings: Sequence[str],
    *,
    seed: int,
    max_minutes: int = 60,
    initial_weights: str | None = None,
    gates: Sequence[str] = (),
    checks: Sequence[str] = (),
    recipe: str = "",
    instances: int = 1,
) -> JobSpec:
    """What a new job on this stack's code shall do; `settings` are hyper-parameters as `name=value`.

    So are `gates`, which its model must pass besides the stack's, and `checks`, how it is tested (`petpark.gates`).
    What the settings do not say is as in `recipe`, by default the usual one.

    Where the stack declares data gates, the dataset's newest quality report must pass them (`petpark.datasets`).

    Who asks for it, as the stack's publisher, is part of it, and stays so when somebody else resumes it.
    `initial_weights` is the hash of the weights to start from: a file of a version (`weights_of`), or one that is
    handed to `submit`. Raises training's `SpecMalformed`, which names what exists, `GateLoosened`, or
    `TooManyInstances`.
    """
    from training.job import JobSpec

    most = target.outputs.training.instances
    if instances > most:
        raise TooManyInstances(
            f"Stack {target.outputs.stack} lets at most {most} train together, not {instances}.",
            next_step=f"pulumi config set training_instances {instances} --stack {target.outputs.stack}, and pulumi up",
        )
    return JobSpec(
        dataset=dataset,
        seed=seed,
        requested_by=target.identity(role=layout.Role.PUBLISHER),
        hyper_parameters=usual_parameters(target, recipe).with_settings(settings),
        code=target.outputs.code_bundle,
        initial_weights=initial_weights,
        max_seconds=60 * max_minutes,
        evaluation=gating.plan(target, gates, checks),
        data_gates=datasets.asked_gates(target),
        instances=instances,
    )


def usual_parameters(target: Target, recipe: str = "") -> HyperParameters:
    """The recipe of that name; without one that for GPUs in the cloud, and that for two cores in a rehearsal."""
    from training.hyper_parameters import find_recipe

    # A rehearsal trains on this machine's cores, whatever instance type it pretends to rent.
    return find_recipe(recipe or ("two-cores" if target.kind == "rehearsal" else "gpu"))


def weights_of(target: Target, number: int) -> str:
    """Hash of the weights of version `number`; raises the registry's `VersionMissing`, or `WeightsMissing`."""
    from registry.catalog import Catalog

    store = target.store(target.outputs.model_store, role=layout.Role.READER)
    version = Catalog(store, target.outputs.model).version(number)
    found = next((file.sha256 for file in version.files if file.name == _WEIGHTS), None)
    if found is None:
        raise WeightsMissing(
            f"Version {number} has no file {_WEIGHTS}.", next_step="Give a version that petpark trained, or a file."
        )
    return found


def new_id() -> str:
    """A name that nobody else takes, and that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def submit(target: Target, spec: JobSpec, *, weights: Path | None = None) -> str:
    """Put `spec` where its instance will look for it, and return the new job's id (sortable by time).

    `weights` is the file of `spec.initial_weights`, where that is not a version's.
    """
    from training import job as jobs

    job = new_id()
    if weights is not None:
        _workspace(target).create_from(jobs.initial_weights_key(job), weights)
    jobs.submit(_workspace(target), job, spec)
    return job


def resume(
    target: Target, job: str, *, on_demand: bool = False, tell: Callable[[str], object] = lambda _sentence: None
) -> str:
    """Start another instance for a job that was interrupted; where one is at work already, return that one.

    Raises `JobFinished`, `JobOfStudy`, or training's `JobMissing`. The job goes on from its last checkpoint.
    """
    from training.job import find_result, load_spec

    workspace = _workspace(target)
    study = load_spec(workspace, job).study
    if study is not None:
        raise JobOfStudy(
            f"Job {job} is a trial of study {study}, which has a budget.", next_step=f"petpark search resume {study}"
        )
    if find_result(workspace, job) is not None:
        raise JobFinished(f"Job {job} has a result already.", next_step="petpark jobs list", job=job)
    instance = _newest_instance(target, job)
    if instance is not None and _state(instance) in _ALIVE:
        return instance.get("InstanceId", "")
    return launch(target, job, on_demand=on_demand, tell=tell)


def launched(target: Target, study: str) -> dict[str, InstanceTypeDef]:
    """The instances that a study started, by the token of their launch; of each EC2 remembers an hour at least."""
    return _instances_by_tag(target, layout.LAUNCH_TAG, f"{study}-*")


def end(target: Target, instance_id: str) -> None:
    """End an instance, whatever it does."""
    ec2: EC2Client = target.client("ec2", role=layout.Role.PUBLISHER)
    ec2.terminate_instances(InstanceIds=[instance_id])


def watch(
    target: Target,
    job: str,
    *,
    instance_id: str | None = None,
    poll: float = 2.0,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[JobEvent]:
    """Tell what happens to `job` until it has succeeded; looks every `poll` seconds.

    Raises `JobFailed` with the job's own reason, or `JobInterrupted` when its instance has ended without a result.
    """
    from training.job import EpochRecord, find_result

    store = _workspace(target)
    seen_state, seen_epoch, unseen_for = "", "", 0.0
    while True:
        # The instance first: a job that ends its instance has written its result before.
        instance = _instance(target, instance_id) if instance_id else _newest_instance(target, job)
        state = "pending" if instance is None and unseen_for < _APPEARS_WITHIN else _state(instance)
        unseen_for += poll if instance is None else 0.0
        if instance is not None and state != seen_state:
            seen_state = state
            yield InstanceSeen(instance_id=instance.get("InstanceId", ""), state=state)
        for key in store.keys(layout.epochs_prefix(job), after=seen_epoch):
            seen_epoch = key
            yield EpochSeen(record=EpochRecord.from_json(store.get(key)))
        result = find_result(store, job)
        if result is not None:
            yield _finished(job, result)
            return
        if state not in _ALIVE:
            raise JobInterrupted(
                f"The instance of job {job} is {state or 'gone'}{_reason(instance)}, and the job has no result."
                f"{_last_words(store, job, instance)}",
                next_step=f"petpark train --resume {job}",
                job=job,
                instance=instance_id,
            )
        pause(poll)


def sentence(record: EpochRecord) -> str:
    """An epoch, for people."""
    return (
        f"epoch {record.epoch} of {record.of}: accuracy {record.accuracy:.1%}, "
        f"loss {record.loss:.3f}, {record.seconds:.1f} s"
    )


def summaries(target: Target, *, limit: int = 20) -> list[JobSummary]:
    """The newest `limit` jobs, newest first."""
    store = _workspace(target)
    keys: dict[str, list[str]] = {}
    for key in store.keys(layout.JOBS):
        job, _, rest = key.removeprefix(layout.JOBS).partition("/")
        keys.setdefault(job, []).append(rest)
    jobs = sorted(keys, reverse=True)[:limit]
    instances = _instances_by_job(target)
    return [_summary(store, job, keys[job], instances.get(job)) for job in jobs if "spec.json" in keys[job]]


def summary(target: Target, job: str) -> JobSummary:
    """One job; raises training's `JobMissing`."""
    store = _workspace(target)
    keys = [key.removeprefix(layout.job_prefix(job)) for key in store.keys(layout.job_prefix(job))]
    return _summary(store, job, keys, _newest_instance(target, job))


def _summary(store: ObjectStore, job: str, keys: list[str], instance: InstanceTypeDef | None) -> JobSummary:
    from training.job import find_result, load_spec

    spec = load_spec(store, job)
    result = find_result(store, job) if "result.json" in keys else None
    epochs = sum(key.startswith("epochs/") for key in keys)
    return JobSummary(
        job=job,
        stage=_stage(result, instance),
        epochs=epochs,
        checkpoints=sum(key.startswith("checkpoints/") for key in keys),
        dataset=spec.dataset,
        requested_by=spec.requested_by,
        instance_id=None if instance is None else instance.get("InstanceId"),
        version=None if result is None else result.version,
        error=None if result is None else result.error,
        study=spec.study,
        gates_failed=() if result is None else failed(result.metrics),
    )


def _stage(result: JobResult | None, instance: InstanceTypeDef | None) -> Stage:
    if result is not None:
        return Stage(result.status)
    if instance is None:
        return Stage.WAITING
    return Stage.RUNNING if _state(instance) in _ALIVE else Stage.INTERRUPTED


def _finished(job: str, result: JobResult) -> Finished:
    if result.status == "failed":
        raise JobFailed(
            f"Job {job} failed: {result.error}, {result.message}",
            next_step="Fix the cause and train again; `petpark jobs list` shows what was requested.",
            job=job,
            error=result.error,
        )
    return Finished(result=result)


def _workspace(target: Target) -> ObjectStore:
    return target.store(target.outputs.workspace, role=layout.Role.PUBLISHER)


def _instance(target: Target, instance_id: str) -> InstanceTypeDef | None:
    ec2: EC2Client = target.client("ec2", role=layout.Role.PUBLISHER)
    try:
        found = ec2.describe_instances(InstanceIds=[instance_id])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "InvalidInstanceID.NotFound":
            return None
        raise
    return next((machine for entry in found["Reservations"] for machine in entry.get("Instances", [])), None)


def _newest_instance(target: Target, job: str) -> InstanceTypeDef | None:
    return _instances_by_job(target, job).get(job)


def _instances_by_job(target: Target, job: str = "*") -> dict[str, InstanceTypeDef]:
    """The newest instance of every job, whatever its state."""
    return _instances_by_tag(target, layout.JOB_TAG, job)


def _instances_by_tag(target: Target, key: str, values: str) -> dict[str, InstanceTypeDef]:
    """The newest instance for each value of a tag, of several the first; `values` may end with an asterisk."""
    ec2: EC2Client = target.client("ec2", role=layout.Role.PUBLISHER)
    pages = ec2.get_paginator("describe_instances").paginate(Filters=[{"Name": f"tag:{key}", "Values": [values]}])
    found = [machine for page in pages for entry in page["Reservations"] for machine in entry.get("Instances", [])]
    never = datetime.min.replace(tzinfo=UTC)
    newest = sorted(found, key=lambda machine: (machine.get("LaunchTime", never), -_place_in_launch(machine)))
    return {
        tag.get("Value", ""): machine for machine in newest for tag in machine.get("Tags", []) if tag.get("Key") == key
    }


def _place_in_launch(instance: InstanceTypeDef) -> int:
    return instance.get("AmiLaunchIndex", 0)


def _reason(instance: InstanceTypeDef | None) -> str:
    """Why EC2 ended it, as EC2 says: a spot interruption, no capacity after all, a key or snapshot out of reach."""
    reason = "" if instance is None else instance.get("StateReason", {}).get("Message", "")
    return f" ({reason})" if reason else ""


def _last_words(store: ObjectStore, job: str, instance: InstanceTypeDef | None) -> str:
    """Say where to read its boot log, if it could store one."""
    kept = instance and store.stat(layout.boot_log_key(job, instance.get("InstanceId", "")))
    return f" Its boot log: petpark jobs show {job}" if kept else ""


def is_alive(instance: InstanceTypeDef) -> bool:
    """Whether it boots or runs."""
    return _state(instance) in _ALIVE


def _state(instance: InstanceTypeDef | None) -> str:
    return "" if instance is None else instance.get("State", {}).get("Name", "")
