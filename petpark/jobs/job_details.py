"""Details of one job: settings, gate results of its version, and suggestions if gates failed."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from petpark.jobs import job_summaries, submission
from petpark.jobs.suggestions import JobDefaults, remedies
from petpark.models import gates
from petpark.output.formats import printable
from registry.gates import failed
from registry.layout.jobs import attempts_of_job_prefix, boot_logs_prefix, job_order_key, job_spec_key, progress_prefix
from registry.layout.roles import Role

if TYPE_CHECKING:
    from petpark.jobs.job_summaries import JobSummary
    from petpark.jobs.suggestions import Suggestion
    from petpark.models.gates import Judgement
    from petpark.targets.target import Target
    from registry.store.object_store import ObjectStore
    from training.job import EpochRecord, JobResult, JobSpec


_SHOWN_LINES = 20
_SHOWN_BYTES = 8_000


@dataclass(frozen=True, kw_only=True)
class BootLog:
    """Boot log of a failed instance of the job."""

    instance: str
    key: str
    """Object key in the workspace."""
    last: tuple[str, ...]
    """Its last lines."""


@dataclass(frozen=True, kw_only=True)
class JobDetails:
    """A job, running or ended. `judgement` is None without a version, `result` until the job ends."""

    summary: JobSummary
    spec: JobSpec
    parameters: dict[str, Any]
    """Hyper-parameters that differ from the defaults."""
    result: JobResult | None
    judgement: Judgement | None
    remedies: tuple[Suggestion, ...]
    """Suggestions for the gates that its version failed."""
    attempts: tuple[str, ...]
    """Each launch: instances, type, market and subnet, oldest first."""
    boot_log: BootLog | None
    """Of the last failed instance, if any."""
    progress: str
    """Latest progress record, as text; empty once the job has ended."""
    epochs: int | str
    """Number of epochs, or a text if it is not yet known."""


def inspect(target: Target, job: str) -> JobDetails:
    """Returns the details of one training. Raises training's `JobMissing`."""
    from training.job import find_result, load_spec

    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    spec, result = load_spec(store, job), find_result(store, job)
    judged = None if result is None else _judgement(target, result)
    defaults = JobDefaults(parameters=submission.usual_parameters(target), evaluation=gates.plan(target, (), ()))
    default_parameters = asdict(defaults.parameters)
    last = _last_epoch(store, job)
    return JobDetails(
        summary=job_summaries.summary(target, job),
        spec=spec,
        parameters={
            name: value for name, value in asdict(spec.hyper_parameters).items() if value != default_parameters[name]
        },
        result=result,
        judgement=judged,
        remedies=() if judged is None else tuple(remedies(spec, judged, defaults)),
        attempts=_attempts(store, job),
        boot_log=_boot_log(store, job),
        progress="" if result else _progress(store, job, last),
        epochs=spec.hyper_parameters.epochs or (last.of if last else "as many as fit the number of photos"),
    )


@dataclass(frozen=True, kw_only=True)
class OrderedJob:
    """A job with an order of the state machine and no spec: not a training, or one that has not started."""

    summary: JobSummary
    pipeline: str | None
    inputs: dict[str, Any]
    result: JobResult | None
    attempts: tuple[str, ...]


def ordered(target: Target, job: str) -> OrderedJob | None:
    """Returns the details of such a job; None if it has a spec, or does not exist."""
    from training.job import find_result

    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    if store.stat(job_order_key(job)) is None or store.stat(job_spec_key(job)) is not None:
        return None
    summary = job_summaries.summary(target, job)  # raises SpecMalformed if the order is malformed
    order: dict[str, Any] = json.loads(store.get(job_order_key(job)))
    return OrderedJob(
        summary=summary,
        pipeline=order.get("pipeline"),
        inputs=dict(order["inputs"]),
        result=find_result(store, job),
        attempts=_attempts(store, job),
    )


def _attempts(store: ObjectStore, job: str) -> tuple[str, ...]:
    """Returns a text for each launch, oldest first."""
    keys = [key for key in store.keys(attempts_of_job_prefix(job)) if key.endswith("/launch.json")]
    launches = [json.loads(store.get(key)) for key in keys]
    return tuple(
        f"{', '.join(each.get('instances', ()))}: {each.get('type')} ({each.get('market')}) in {each.get('subnet')}"
        for each in launches
    )


def _last_epoch(store: ObjectStore, job: str) -> EpochRecord | None:
    from training.job import epoch_records

    return next(reversed(epoch_records(store, job)[0]), None)


def _progress(store: ObjectStore, job: str, epoch: EpochRecord | None) -> str:
    """Returns the latest progress as text. The evaluation follows all epochs; other stages precede them."""
    from training.errors import SpecMalformed
    from training.job import STAGES, ProgressRecord

    keys = list(store.keys(progress_prefix(job)))
    with suppress(SpecMalformed):
        progress = ProgressRecord.from_json(store.get(keys[-1])) if keys else None
        if progress and (epoch is None or progress.doing == STAGES[-1]):
            return submission.sentence(progress)
    return submission.sentence(epoch) if epoch else ""


def _boot_log(store: ObjectStore, job: str) -> BootLog | None:
    newest = min(store.stats(boot_logs_prefix(job)), key=lambda stored: stored.age, default=None)
    if newest is None:
        return None
    text = store.get(newest.key)[-_SHOWN_BYTES:].decode(errors="replace")
    instance = newest.key.removeprefix(boot_logs_prefix(job)).removesuffix(".log")
    lines = [printable(line) for line in text.splitlines()]
    return BootLog(instance=instance, key=newest.key, last=tuple(lines[-_SHOWN_LINES:]))


def _judgement(target: Target, result: JobResult) -> Judgement | None:
    """Returns the gate results of the job's version; reasons are read only if a gate failed."""
    if result.version is None:
        return None
    if failed(result.metrics):
        return gates.judgement(target, result.version)
    return gates.briefly(result.version, result.metrics)
