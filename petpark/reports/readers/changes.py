"""Changes in a period and who decided them: channels, certificates, experiments, ended pipelines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from petpark.models import model_versions
from petpark.reports.facts import Change, ChangeKind
from registry.encoding import parse_time
from registry.layout.model_store import Prefix, object_prefix
from registry.layout.roles import Role

if TYPE_CHECKING:
    from petpark.targets.stacks import PipelineOutputs
    from petpark.targets.target import Target
    from registry.channels.channel import ChannelEntry
    from registry.channels.experiment import Entry

_SKEW: Final = timedelta(days=1)
"""Maximum clock difference between the store and a writer."""

_RUNNING: Final = "RUNNING"
_SUCCEEDED: Final = "SUCCEEDED"
_DECISIONS: Final = {
    "certified": ChangeKind.CERTIFIED,
    "refused": ChangeKind.REFUSED,
    "revoked": ChangeKind.REVOKED,
}


def read_changes(
    target: Target, pipeline: PipelineOutputs | None, *, start: datetime, end: datetime, now: datetime
) -> tuple[Change, ...]:
    """Returns the changes from `start` to `end`, oldest first. Raises the registry's errors, such as HistoryBroken."""
    found = [*_of_channels(target), *_decisions(target, start, now)]
    if pipeline is not None:
        found += _pipelines(target, pipeline, start)
    return tuple(sorted((each for each in found if start <= each.at < end), key=lambda each: each.at))


def of_channel(entry: ChannelEntry) -> Change:
    """An entry of a channel."""
    return Change(
        at=parse_time(entry.at),
        kind=ChangeKind.ROLLED_BACK if entry.is_rollback else ChangeKind.PROMOTED,
        channel=entry.channel,
        version=entry.version,
        before=entry.previous,
        by=entry.by,
        why=entry.why,
    )


def of_experiment(entry: Entry, versions: dict[int, int]) -> Change:
    """A start or an end of an experiment; `versions` are those of the starts by number, and get this one's."""
    from registry.channels.experiment import Experiment

    if isinstance(entry, Experiment):
        versions[entry.number] = entry.version
        return Change(
            at=parse_time(entry.at),
            kind=ChangeKind.EXPERIMENT_STARTED,
            channel=entry.channel,
            version=entry.version,
            by=entry.by,
            why=entry.why,
        )
    return Change(
        at=parse_time(entry.at),
        kind=ChangeKind.EXPERIMENT_ENDED,
        channel=entry.channel,
        version=versions.get(entry.experiment),
        outcome=entry.outcome,
        by=entry.by,
        why="; ".join(entry.reasons),
    )


def _of_channels(target: Target) -> Iterator[Change]:
    from registry.channels.experiment import Experiments

    store = target.store(target.outputs.model_store, role=Role.READER)
    for name in model_versions.channels(target):
        yield from map(of_channel, model_versions.channel(target, name).history())
        versions: dict[int, int] = {}
        for entry in Experiments(store, target.outputs.model, name).history():
            yield of_experiment(entry, versions)


def _decisions(target: Target, start: datetime, now: datetime) -> Iterator[Change]:
    """Valid decisions stored since about `start`, with verified signatures."""
    from registry.certificates.certificate import Certificate, Certificates

    store, model = target.store(target.outputs.model_store, role=Role.READER), target.outputs.model
    prefix = object_prefix(model, Prefix.CERTIFICATES)
    verifier = target.verifier(role=Role.READER)
    since = now - start + _SKEW
    recent = {each.key.removeprefix(prefix).partition("/")[0] for each in store.stats(prefix) if each.age <= since}
    for number in sorted(int(name) for name in recent if name.isdecimal()):
        version = model_versions.version(target, number)
        for entry in Certificates(store, model).entries(version, verifier).values():
            if isinstance(entry, Certificate):
                yield Change(
                    at=parse_time(entry.at),
                    kind=_DECISIONS[entry.decision],
                    version=entry.version,
                    by=entry.by,
                    why=entry.note,
                )


def _pipelines(target: Target, pipeline: PipelineOutputs, start: datetime) -> Iterator[Change]:
    """Executions that ended since `start`. Step Functions keeps them for 90 days, and lists the newest first.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
    """
    client = target.client("stepfunctions", role=Role.PUBLISHER)
    pages = client.get_paginator("list_executions").paginate(stateMachineArn=pipeline.pipeline.rpartition(":")[0])
    for execution in (each for page in pages for each in page["executions"]):
        ended: datetime | None = execution.get("stopDate")
        if execution["status"] == _RUNNING or ended is None or ended < start:
            continue
        found = client.describe_execution(executionArn=execution["executionArn"])
        succeeded = found["status"] == _SUCCEEDED
        yield Change(
            at=ended,
            kind=ChangeKind.PIPELINE_SUCCEEDED if succeeded else ChangeKind.PIPELINE_ENDED,
            version=_version(found.get("output")),
            outcome="" if succeeded else found.get("error") or found["status"],
            why="" if succeeded else found.get("cause", ""),
        )


def _version(output: str | None) -> int | None:
    """The version that a pipeline's output names."""
    found: Any = json.loads(output or "{}")
    version: Any = found.get("version") if isinstance(found, dict) else None
    return version if isinstance(version, int) else None
