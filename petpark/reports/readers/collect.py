"""Collect the facts of both pages from a deployed stack. The only module here that knows where data is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from petpark.models import model_versions
from petpark.reports.facts import CameraMonth, ChangeKind, DriftAlarm, MonthFacts, Share, Unknown, Why
from petpark.reports.monitoring_facts import CameraMonitored, MonitoringFacts, Serving, StrangePhoto
from petpark.reports.month import Month
from petpark.reports.readers import drift_findings, true_accuracy
from petpark.reports.readers.availability import read_availability
from petpark.reports.readers.changes import of_channel, read_changes
from petpark.reports.readers.money import read_costs
from petpark.reports.readers.visits import read_visits
from petpark.targets.stacks import StackOutputs
from petpark.targets.stored_outputs import load_outputs
from registry.layout.roles import Role
from registry.layout.workspace import STACKS

if TYPE_CHECKING:
    from monitoring.drift_records import DriftRecord
    from monitoring.late_labels.true_accuracy import LabelledSample
    from petpark.targets.target import Target
    from registry.store.object_store import ObjectStore

DAYS: Final = 14
"""Default period of the monitoring page."""

_DAY: Final = timedelta(days=1)


def month_facts(target: Target, month: Month, now: datetime) -> MonthFacts:
    """Collect the data of a monthly report. Raises registry errors, DriftRecordMalformed, LabelRecordMalformed."""
    until = month.until(now)
    lake, workspace = _stores(target)
    visits = read_visits(lake, month, until)
    records = _records(workspace, target.outputs.stack, month.start, until)
    drift = drift_findings.findings(records, start=month.start, end=until)
    platform = deployed(workspace, target.outputs)
    pipeline = next((each.pipeline for each in platform if each.pipeline is not None), None)
    names = sorted({*visits.cameras, *drift})
    none = Unknown(why=Why.NO_DRIFT_RUN)
    cameras = [
        CameraMonth(
            name=name,
            daily=visits.cameras.get(name, {}),
            photos=drift[name].photos if name in drift else None,
            alarms=len(drift[name].alarms) if name in drift else None,
            estimate=drift[name].estimate if name in drift else none,
        )
        for name in names
    ]
    windows = [window for each in drift.values() for window in each.windows]
    alarms: tuple[DriftAlarm, ...] = tuple(alarm for each in drift.values() for alarm in each.alarms)
    estimate: Share | Unknown = drift_findings.mean_estimate(windows) if records else none
    return MonthFacts(
        stack=target.outputs.stack,
        month=month,
        written_at=now,
        cameras=tuple(cameras),
        availability=read_availability(
            target.client("cloudwatch", role=Role.READER), target.outputs.availability, month, until
        ),
        labelled=true_accuracy.of_month(_samples(lake, target.outputs.stack, month.start, until)),
        estimate=estimate,
        drift=alarms if records else none,
        drift_windows=len(windows),
        changes=read_changes(target, pipeline, start=month.start, end=until, now=now),
        costs=read_costs(
            workspace, lake, target.outputs, platform, month, (until - month.start).total_seconds() / 3600
        ),
        unreadable_events=visits.unreadable,
    )


def monitoring_facts(
    target: Target, *, start: datetime, end: datetime, now: datetime, zone: ZoneInfo
) -> MonitoringFacts:
    """Collect the data of the monitoring page from `start` to `end`. Raises the same errors as `month_facts`."""
    stack, channel = target.outputs.stack, target.outputs.endpoint.channel
    lake, workspace = _stores(target)
    records = _records(workspace, stack, start, end)
    samples = _samples(lake, stack, start - 7 * _DAY, end)
    labelled = true_accuracy.of_cameras(samples)
    cameras = [
        replace(camera, labelled=labelled.get(camera.name, ()), strange=tuple(with_thumbnails(lake, stack, camera)))
        for camera in drift_findings.monitored(records, start=start, end=end)
    ]
    return MonitoringFacts(
        stack=stack,
        channel=channel,
        start=start,
        end=end,
        written_at=now,
        zone=zone,
        cameras=tuple(cameras),
        serving=serving(target, channel, start, end),
        labelled=true_accuracy.over_time(samples),
        last_run=max((record.end for record in records), default=None),
    )


def serving(target: Target, channel: str, start: datetime, end: datetime) -> tuple[Serving, ...]:
    """Returns the active versions of a channel over time, from its entries."""
    changes = sorted(map(of_channel, model_versions.channel(target, channel).history()), key=lambda each: each.at)
    ends = [each.at for each in changes[1:]] + [end]
    return tuple(
        Serving(
            version=change.version or 0,
            start=max(start, change.at),
            end=min(end, after),
            by=change.by,
            rollback=change.kind is ChangeKind.ROLLED_BACK,
        )
        for change, after in zip(changes, ends, strict=False)
        if change.at < end and after > start
    )


def with_thumbnails(lake: ObjectStore, stack: str, camera: CameraMonitored) -> Iterable[StrangePhoto]:
    """Returns a camera's unusual photos with their recorded thumbnails. Each file is read at most twice."""
    from monitoring.predictions import each_recorded, thumbnails

    wanted: dict[tuple[datetime, datetime], set[str]] = {}
    for photo in camera.strange:
        wanted.setdefault((photo.start, photo.end), set()).add(photo.id)
    pictures: dict[str, bytes | None] = {}
    for (start, end), ids in wanted.items():
        for found in each_recorded(lake, stack, camera.name, start=start, end=end):
            if found.id in ids and found.has_thumbnail:
                pictures[found.id] = thumbnails(lake, found.key)[found.row]
    return [replace(photo, thumbnail=pictures.get(photo.id)) for photo in camera.strange]


def deployed(workspace: ObjectStore, own: StackOutputs) -> list[StackOutputs]:
    """Returns the outputs of all stacks of the platform; `own` too if none is recorded."""
    names = [key.removeprefix(STACKS).removesuffix(".json") for key in workspace.keys(STACKS)]
    found = [load_outputs(workspace, name) for name in names]
    return found if own.stack in names else [*found, own]


def _stores(target: Target) -> tuple[ObjectStore, ObjectStore]:
    """The data lake and the workspace."""
    outputs = target.outputs
    return target.store(outputs.data_lake, role=Role.PUBLISHER), target.store(outputs.workspace, role=Role.PUBLISHER)


def _records(workspace: ObjectStore, stack: str, start: datetime, end: datetime) -> list[DriftRecord]:
    from monitoring.drift_records import records

    last = (end - timedelta(microseconds=1)).astimezone(UTC).date()
    return records(workspace, stack, first=start.astimezone(UTC).date(), last=last) if end > start else []


def _samples(lake: ObjectStore, stack: str, start: datetime, end: datetime) -> Sequence[LabelledSample]:
    """The samples that begin in a period, so that each is in exactly one month."""
    from monitoring.late_labels.records import hours_of
    from monitoring.late_labels.true_accuracy import read_labelled

    found = read_labelled(lake, stack, start=start, end=end)
    return [each for each in found if hours_of(each.sample.id)[0] >= start]
