"""Training on provisioned instances: submit a job, start its instance, watch it, resume it after an interruption."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from petpark import datasets, training_instances
from petpark import gates as gating
from petpark.errors import (
    JobCancelled,
    JobFailed,
    JobFinished,
    JobInterrupted,
    JobOfStudy,
    TooManyInstances,
    WeightsMissing,
)
from petpark.ids import complete, folders
from petpark.launches import launch
from petpark.overdue import Patience
from petpark.target import Target
from registry import layout
from registry.identity import person

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from registry.object_store import ObjectStore
    from registry.version import Version
    from training.hyper_parameters import HyperParameters
    from training.job import EpochRecord, JobResult, JobSpec

_WEIGHTS = "weights.pt"


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


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """An object among the job's epochs is no record of one."""

    key: str
    problem: str


type JobEvent = InstanceSeen | EpochSeen | Skipped | Finished


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


def admit(target: Target, spec: JobSpec, *, weights_follow: bool = False) -> None:
    """Refuse, before anything is stored or launched, what its instance would refuse: see `training.admission.admit`."""
    from training.admission import admit

    lake = target.store(target.outputs.data_lake, role=layout.Role.PUBLISHER)
    admit(spec, lake, weights_follow=weights_follow)


def load_spec(target: Target, job: str) -> JobSpec:
    """What a job shall do; raises training's `JobMissing`, `SpecMalformed`."""
    from training.job import load_spec

    return load_spec(_workspace(target), job)


def usual_parameters(target: Target, recipe: str = "") -> HyperParameters:
    """The recipe of that name; without one that for GPUs in the cloud, and that for two cores in a rehearsal."""
    from training.hyper_parameters import find_recipe

    # A rehearsal trains on this machine's cores, whatever instance type it pretends to rent.
    return find_recipe(recipe or ("two-cores" if target.kind == "rehearsal" else "gpu"))


def weights_of(version: Version) -> str:
    """Hash of the weights of a version; `WeightsMissing`."""
    found = version.file(_WEIGHTS)
    if found is None:
        raise WeightsMissing(
            f"Version {version.number} has no file {_WEIGHTS}.",
            next_step="Give a version that petpark trained, or a file.",
        )
    return found.sha256


def new_id() -> str:
    """A name that nobody else takes, and that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def resolve(target: Target, beginning: str) -> str:
    """The one job whose id begins so; raises `IdAmbiguous`."""
    workspace = _workspace(target)
    if beginning and workspace.stat(layout.job_spec_key(beginning)) is not None:
        return beginning  # a study's trials begin with its id, and so does the job of its best
    return complete("jobs", beginning, folders(workspace, layout.JOBS, beginning), listing="petpark jobs list")


def submit(target: Target, spec: JobSpec, *, weights: Path | None = None) -> str:
    """Put `spec` where its instance will look for it, and return the new job's id (sortable by time).

    `weights` is the file of `spec.initial_weights`, where that is not a version's.
    """
    from training import job as jobs

    job = new_id()
    jobs.written(spec)  # before anything else is stored
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
    instance = training_instances.newest(target, job)
    if instance is not None and training_instances.is_alive(instance):
        return instance.get("InstanceId", "")
    return launch(target, job, on_demand=on_demand, tell=tell)


def watch(
    target: Target,
    job: str,
    *,
    instance_id: str | None = None,
    poll: float = 2.0,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[JobEvent]:
    """Tell what happens to `job` until it has succeeded; looks every `poll` seconds.

    Raises `JobFailed` with the job's own reason, `JobInterrupted` when its instance has ended without a result, and
    `JobOverdue` when its instance is at work for longer than the job may take.
    """
    from training.errors import SpecMalformed
    from training.job import EpochRecord, find_result

    store = _workspace(target)
    patience = Patience(target, job, clock=clock)
    seen_state, seen_epoch = "", ""
    while True:
        # The instance first: a job that ends its instance has written its result before.
        find = training_instances.by_id if instance_id else training_instances.newest
        instance = find(target, instance_id or job)
        state = training_instances.state(instance)
        if instance is not None and state != seen_state:
            seen_state = state
            yield InstanceSeen(instance_id=instance.get("InstanceId", ""), state=state)
        for key in store.keys(layout.epochs_prefix(job), after=seen_epoch):
            seen_epoch = key
            try:
                record = EpochRecord.from_json(store.get(key))
            except SpecMalformed as error:
                yield Skipped(key=key, problem=str(error))
            else:
                yield EpochSeen(record=record)
        result = find_result(store, job)
        if result is not None:
            yield _finished(job, result)
            return
        if not patience.look(instance):
            raise JobInterrupted(
                f"The instance of job {job} is {state or 'gone'}{training_instances.reason(instance)}, "
                "and the job has no result."
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


def _finished(job: str, result: JobResult) -> Finished:
    if result.status == "cancelled":
        raise JobCancelled(
            f"{person(result.by or '')} cancelled job {job}: {result.message}",
            next_step="petpark train --dataset SHA begins another; petpark jobs list shows what was asked.",
            job=job,
            by=result.by,
        )
    if result.status == "failed":
        raise JobFailed(
            f"Job {job} failed: {result.error}, {result.message}",
            next_step="Fix the cause and train again; `petpark jobs list` shows what was asked.",
            job=job,
            error=result.error,
        )
    return Finished(result=result)


def _workspace(target: Target) -> ObjectStore:
    return target.store(target.outputs.workspace, role=layout.Role.PUBLISHER)


def _last_words(store: ObjectStore, job: str, instance: InstanceTypeDef | None) -> str:
    """Say where to read its boot log, if it could store one."""
    kept = instance and store.stat(layout.boot_log_key(job, instance.get("InstanceId", "")))
    return f" Its boot log: petpark jobs show {job}" if kept else ""
