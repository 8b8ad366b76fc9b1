"""Trainings as they are submitted, and the records that a job writes while it runs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.data import datasets
from petpark.errors import JobCancelled, JobFailed, TooManyInstances, WeightsMissing
from petpark.ids import complete, folders
from petpark.models import gates as gating
from petpark.targets.target import Target
from registry.clock import utc_now
from registry.identity import person
from registry.layout.jobs import JOBS, epochs_prefix, job_spec_key, progress_prefix
from registry.layout.roles import Role

if TYPE_CHECKING:
    from registry.store.object_store import ObjectStore
    from registry.version import Version
    from training.hyper_parameters import HyperParameters
    from training.job import EpochRecord, JobResult, JobSpec, ProgressRecord

_WEIGHTS = "weights.pt"
_MINUTE = 60


@dataclass(frozen=True, kw_only=True)
class EpochSeen:
    """The job finished an epoch."""

    record: EpochRecord


@dataclass(frozen=True, kw_only=True)
class ProgressSeen:
    """How far the job is with a stage that has no epochs."""

    record: ProgressRecord


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The job succeeded; always the last event."""

    result: JobResult


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """An object among the job's records is none."""

    key: str
    problem: str


type JobEvent = EpochSeen | ProgressSeen | Skipped | Finished


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
    """What a new job on this stack's code must do; `settings` are hyper-parameters as `name=value`.

    So are `gates`, which its model must pass besides the stack's, and `checks`, how it is tested
    (`petpark.models.gates`).
    What the settings do not say is as in `recipe`, by default the usual one. A setting that its training would not look
    at is refused.

    Where the stack declares data gates, the dataset's newest quality report must pass them (`petpark.data.datasets`).

    Who asks for it, as the stack's publisher, is part of it, and stays so when somebody else resumes it.
    `initial_weights` is the hash of the weights to start from: a file of a version (`weights_of`), or one that is
    handed to `submit`. Raises training's `SpecMalformed`, which names what exists, `GateLoosened`, or
    `TooManyInstances`.
    """
    from training.hyper_parameters import refuse_idle
    from training.job import JobSpec

    parameters = usual_parameters(target, recipe).with_settings(settings)
    refuse_idle(parameters, settings)
    most = target.outputs.training.instances
    if instances > most:
        raise TooManyInstances(
            f"Stack {target.outputs.stack} allows at most {most} instances per training, not {instances}.",
            next_step=f"pulumi config set training_instances {instances} --stack {target.outputs.stack}, and pulumi up",
        )
    return JobSpec(
        dataset=dataset,
        seed=seed,
        requested_by=target.identity(role=Role.PUBLISHER),
        hyper_parameters=parameters,
        code=target.outputs.code_bundle,
        initial_weights=initial_weights,
        max_seconds=60 * max_minutes,
        evaluation=gating.plan(target, gates, checks),
        data_gates=datasets.asked_gates(target),
        instances=instances,
    )


def admit(target: Target, spec: JobSpec, *, weights_follow: bool = False) -> None:
    """Refuse what its instance would refuse (`training.jobs.admission.admit`) before anything is stored or launched."""
    from training.jobs.admission import admit

    lake = target.store(target.outputs.data_lake, role=Role.PUBLISHER)
    admit(spec, lake, weights_follow=weights_follow)


def load_spec(target: Target, job: str) -> JobSpec:
    """Returns a job's spec; raises training's `JobMissing`, `SpecMalformed`."""
    from training.job import load_spec

    return load_spec(_workspace(target), job)


def usual_parameters(target: Target, recipe: str = "") -> HyperParameters:
    """The recipe of that name; without one `transfer`, and in a rehearsal what its photos are trained by."""
    from training.hyper_parameters import find_recipe

    return find_recipe(recipe or target.recipe)


def weights_of(version: Version) -> str:
    """Hash of the weights of a version; `WeightsMissing`."""
    found = version.file(_WEIGHTS)
    if found is None:
        raise WeightsMissing(
            f"Version {version.number} has no file {_WEIGHTS}.",
            next_step="Use a version that petpark trained, or a file.",
        )
    return found.sha256


def new_id() -> str:
    """A name that nobody else takes, and that sorts by time."""
    return f"{utc_now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def resolve(target: Target, beginning: str) -> str:
    """The one job whose id begins so; raises `IdAmbiguous`."""
    workspace = _workspace(target)
    if beginning and workspace.stat(job_spec_key(beginning)) is not None:
        return beginning  # a study's trials begin with its id, and so does the job of its best
    return complete("jobs", beginning, folders(workspace, JOBS, beginning), listing="petpark jobs list")


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


class Records:
    """What a job writes down while it runs, each read once."""

    def __init__(self, store: ObjectStore, job: str) -> None:
        self._store = store
        self._seen = {progress_prefix(job): "", epochs_prefix(job): ""}

    def new(self) -> Iterator[ProgressSeen | EpochSeen | Skipped]:
        """Progress, then epochs, since last time."""
        from training.errors import SpecMalformed
        from training.job import EpochRecord, ProgressRecord

        for prefix in self._seen:
            for key in self._store.keys(prefix, after=self._seen[prefix]):
                self._seen[prefix] = key
                data = self._store.get(key)
                try:
                    if prefix.endswith("progress/"):
                        yield ProgressSeen(record=ProgressRecord.from_json(data))
                    else:
                        yield EpochSeen(record=EpochRecord.from_json(data))
                except SpecMalformed as error:
                    yield Skipped(key=key, problem=str(error))


def sentence(record: EpochRecord | ProgressRecord) -> str:
    """How far a job is, for people: what an epoch came to, or what of a stage is done; and how long it will take."""
    from training.job import EpochRecord

    if not isinstance(record, EpochRecord):
        left = f", {duration(record.seconds_left)} left" if record.done < record.of else ""
        return f"{record.done:,} of {record.of:,} {record.doing}{left}"
    left = record.seconds * (record.of - record.epoch)
    return (
        f"epoch {record.epoch} of {record.of}: accuracy {record.accuracy:.1%}, "
        f"loss {record.loss:.3f}, {record.seconds:.1f} s" + (f"; {duration(left)} left" if left else "")
    )


def duration(seconds: float) -> str:
    """Seconds, for people: `8 s`, `2 min 05 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < _MINUTE else f"{whole // _MINUTE} min {whole % _MINUTE:02} s"


def finished(job: str, result: JobResult) -> Finished:
    """A success as the last event; raises `JobCancelled`, `JobFailed` for any other end."""
    if result.status == "cancelled":
        raise JobCancelled(
            f"{person(result.by or '')} cancelled job {job}: {result.message}",
            next_step="petpark train --dataset SHA starts another; petpark jobs list shows the settings.",
            job=job,
            by=result.by,
        )
    if result.status == "failed":
        raise JobFailed(
            f"Job {job} failed: {result.error}, {result.message}",
            next_step="Fix the cause and train again; `petpark jobs list` shows the settings.",
            job=job,
            error=result.error,
        )
    return Finished(result=result)


def _workspace(target: Target) -> ObjectStore:
    return target.store(target.outputs.workspace, role=Role.PUBLISHER)
