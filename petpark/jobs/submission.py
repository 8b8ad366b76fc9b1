"""Submit trainings, and read the records that a job writes while it runs."""

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
class EpochFinished:
    """The job finished an epoch."""

    record: EpochRecord


@dataclass(frozen=True, kw_only=True)
class ProgressReported:
    """The job reported progress of a stage without epochs."""

    record: ProgressRecord


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The job succeeded; always the last event."""

    result: JobResult


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A record of the job is malformed, and was skipped."""

    key: str
    problem: str


type JobEvent = EpochFinished | ProgressReported | Skipped | Finished


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
    """Returns the spec of a new job that runs the stack's deployed code.

    `settings` are hyper-parameters as `name=value`, and override those of `recipe` (default: the target's). `gates`,
    which the model must pass in addition to the stack's, and `checks`, which configure the evaluation, have the same
    form (`petpark.models.gates`). If the stack declares data gates, the dataset's newest quality report must pass them
    (`petpark.data.datasets`). `initial_weights` is the SHA-256 of the weights to start from: a version's
    (`weights_of`), or those of a file passed to `submit`. `requested_by` is the caller's ARN as publisher, and stays
    the same if somebody else resumes the job.

    Raises training's `SpecMalformed` for an unknown or unused setting, `GateLoosened`, `TooManyInstances`.
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
    """Check a spec as its instance will (`training.jobs.admission.admit`), before anything is stored or launched."""
    from training.jobs.admission import admit

    lake = target.store(target.outputs.data_lake, role=Role.PUBLISHER)
    admit(spec, lake, weights_follow=weights_follow)


def load_spec(target: Target, job: str) -> JobSpec:
    """Returns a job's spec. Raises training's `JobMissing`, `SpecMalformed`."""
    from training.job import load_spec

    return load_spec(_workspace(target), job)


def usual_parameters(target: Target, recipe: str = "") -> HyperParameters:
    """Returns the hyper-parameters of a recipe, by default the target's: `transfer`, or a rehearsal's own."""
    from training.hyper_parameters import find_recipe

    return find_recipe(recipe or target.recipe)


def weights_of(version: Version) -> str:
    """Returns the SHA-256 of a version's weights. Raises `WeightsMissing`."""
    found = version.file(_WEIGHTS)
    if found is None:
        raise WeightsMissing(
            f"Version {version.number} has no file {_WEIGHTS}.",
            next_step="Use a version trained by petpark, or pass a file.",
        )
    return found.sha256


def new_id() -> str:
    """Returns a unique id that sorts by time."""
    return f"{utc_now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def resolve(target: Target, beginning: str) -> str:
    """Returns the only job whose id starts with `beginning`. Raises `IdAmbiguous`."""
    workspace = _workspace(target)
    if beginning and workspace.stat(job_spec_key(beginning)) is not None:
        return beginning  # the ids of a study's jobs start with the study's id
    return complete("jobs", beginning, folders(workspace, JOBS, beginning), listing="petpark jobs list")


def submit(target: Target, spec: JobSpec, *, weights: Path | None = None) -> str:
    """Store `spec` in the workspace. Returns the new job's id. Nothing is started.

    `weights` is the file of `spec.initial_weights`, if they are not those of a version.
    """
    from training import job as jobs

    job = new_id()
    jobs.written(spec)  # raises for an invalid spec before anything is stored
    if weights is not None:
        _workspace(target).create_from(jobs.initial_weights_key(job), weights)
    jobs.submit(_workspace(target), job, spec)
    return job


class Records:
    """Progress and epoch records of a running job, each read once."""

    def __init__(self, store: ObjectStore, job: str) -> None:
        self._store = store
        self._seen = {progress_prefix(job): "", epochs_prefix(job): ""}

    def new(self) -> Iterator[ProgressReported | EpochFinished | Skipped]:
        """Yield the records since the last call: progress first, then epochs."""
        from training.errors import SpecMalformed
        from training.job import EpochRecord, ProgressRecord

        for prefix in self._seen:
            for key in self._store.keys(prefix, after=self._seen[prefix]):
                self._seen[prefix] = key
                data = self._store.get(key)
                try:
                    if prefix.endswith("progress/"):
                        yield ProgressReported(record=ProgressRecord.from_json(data))
                    else:
                        yield EpochFinished(record=EpochRecord.from_json(data))
                except SpecMalformed as error:
                    yield Skipped(key=key, problem=str(error))


def sentence(record: EpochRecord | ProgressRecord) -> str:
    """Returns a record as text: an epoch's metrics or a stage's progress, with the remaining time."""
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
    """Returns seconds as text: `8 s`, `2 min 05 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < _MINUTE else f"{whole // _MINUTE} min {whole % _MINUTE:02} s"


def finished(job: str, result: JobResult) -> Finished:
    """Returns the last event of a successful job. Raises `JobCancelled`, `JobFailed` for any other result."""
    if result.status == "cancelled":
        raise JobCancelled(
            f"{person(result.by or '')} cancelled job {job}: {result.message}",
            next_step="Start another with petpark train --dataset SHA; petpark jobs show prints the settings.",
            job=job,
            by=result.by,
        )
    if result.status == "failed":
        raise JobFailed(
            f"Job {job} failed: {result.error}, {result.message}",
            next_step="Fix the cause and train again; `petpark jobs show` prints the settings.",
            job=job,
            error=result.error,
        )
    return Finished(result=result)


def _workspace(target: Target) -> ObjectStore:
    return target.store(target.outputs.workspace, role=Role.PUBLISHER)
