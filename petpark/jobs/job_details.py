"""Details of one job: its settings, its version's gate results, and what to try if gates failed."""

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
    """The boot log of an instance of the job that failed."""

    instance: str
    key: str
    """In the workspace."""
    last: tuple[str, ...]
    """Its last lines."""


@dataclass(frozen=True, kw_only=True)
class JobDetails:
    """A job, running or ended. `judgement` is None while it has no version, `result` while it has not ended."""

    summary: JobSummary
    spec: JobSpec
    parameters: dict[str, Any]
    """Its hyper-parameters that are not the defaults."""
    result: JobResult | None
    judgement: Judgement | None
    remedies: tuple[Suggestion, ...]
    """What to try about the gates that its version failed."""
    attempts: tuple[str, ...]
    """What EC2 Fleet answered to the launches, in words."""
    boot_log: BootLog | None
    """Of the instance that failed last, if any did."""
    progress: str
    """How far it is, while it has not ended: what it wrote down last."""
    epochs: int | str
    """How many it will have."""


def inspect(target: Target, job: str) -> JobDetails:
    """Read all about one job; raises training's `JobMissing`."""
    from training.job import find_result, load_spec

    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    spec, result = load_spec(store, job), find_result(store, job)
    judged = None if result is None else _judgement(target, result)
    usual = JobDefaults(parameters=submission.usual_parameters(target), evaluation=gates.plan(target, (), ()))
    before = asdict(usual.parameters)
    last = _last_epoch(store, job)
    return JobDetails(
        summary=job_summaries.summary(target, job),
        spec=spec,
        parameters={name: value for name, value in asdict(spec.hyper_parameters).items() if value != before[name]},
        result=result,
        judgement=judged,
        remedies=() if judged is None else tuple(remedies(spec, judged, usual)),
        attempts=_attempts(store, job),
        boot_log=_boot_log(store, job),
        progress="" if result else _progress(store, job, last),
        epochs=spec.hyper_parameters.epochs or (last.of if last else "as many as fit the number of photos"),
    )


@dataclass(frozen=True, kw_only=True)
class OrderedJob:
    """A job that the state machine ordered and that has no spec: not a training, or one that has not begun."""

    summary: JobSummary
    pipeline: str | None
    inputs: dict[str, Any]
    result: JobResult | None
    attempts: tuple[str, ...]


def ordered(target: Target, job: str) -> OrderedJob | None:
    """Read all about such a job; None for a training, or what is none at all."""
    from training.job import find_result

    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    if store.stat(job_order_key(job)) is None or store.stat(job_spec_key(job)) is not None:
        return None
    summary = job_summaries.summary(target, job)  # SpecMalformed where the order cannot be read
    order: dict[str, Any] = json.loads(store.get(job_order_key(job)))
    return OrderedJob(
        summary=summary,
        pipeline=order.get("pipeline"),
        inputs=dict(order["inputs"]),
        result=find_result(store, job),
        attempts=_attempts(store, job),
    )


def _attempts(store: ObjectStore, job: str) -> tuple[str, ...]:
    """A sentence for each launch of the state machine, the oldest first."""
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
    """What was written down last: the tests come after all epochs, and what else takes a while before them."""
    from training.errors import SpecMalformed
    from training.job import STAGES, ProgressRecord

    keys = list(store.keys(progress_prefix(job)))
    with suppress(SpecMalformed):
        progress = ProgressRecord.from_json(store.get(keys[-1])) if keys else None
        if progress and (epoch is None or progress.doing == STAGES[-1]):
            return submission.sentence(progress)
    return submission.sentence(epoch) if epoch else ""


def _boot_log(store: ObjectStore, job: str) -> BootLog | None:
    newest = min(store.stats(boot_logs_prefix(job)), key=lambda kept: kept.age, default=None)
    if newest is None:
        return None
    text = store.get(newest.key)[-_SHOWN_BYTES:].decode(errors="replace")
    instance = newest.key.removeprefix(boot_logs_prefix(job)).removesuffix(".log")
    lines = [printable(line) for line in text.splitlines()]
    return BootLog(instance=instance, key=newest.key, last=tuple(lines[-_SHOWN_LINES:]))


def _judgement(target: Target, result: JobResult) -> Judgement | None:
    """How the job's version did. Reasons are read only where something failed: they are what people then ask for."""
    if result.version is None:
        return None
    if failed(result.metrics):
        return gates.judgement(target, result.version)
    return gates.briefly(result.version, result.metrics)
