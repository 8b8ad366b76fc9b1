"""The purpose `drift`: test a stack's recorded predictions for drift, and store a record per day."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final

import numpy as np

from monitoring.drift_records import (
    HOURS,
    AccuracyEstimate,
    CameraDrift,
    DriftRecord,
    DriftWindow,
    Rejection,
    TrafficFinding,
    record_of,
    records,
)
from monitoring.predictions import Reads
from monitoring.traffic import MOST_DAYS, watch_traffic
from monitoring.windows import ongoing
from petpark.models import drift
from petpark.models.drift import DriftOfCamera, FindReference, WindowOfCamera
from petpark.worker.purposes.findings import Assignment, Findings
from registry.clock import utc_now
from registry.encoding import Fields, format_time
from registry.errors import ObjectExists
from registry.log_lines import (
    ACCURACY_PERCENT,
    DRIFT,
    DRIFTED_WINDOWS,
    DRIFTING_CAMERAS,
    SILENT_CAMERAS,
)

LATE: Final = timedelta(minutes=15)
"""Delay until an hour's predictions are stored: an endpoint uploads them when the oldest is five minutes old."""

_DAY: Final = timedelta(days=1)


def check(assignment: Assignment) -> Findings:
    """Complete yesterday's record, create one for today's complete hours, and log the metrics of the alarms.

    Inputs: `stack`, and `at`, the reference time (RFC 3339). Outcome: `written`. An existing record is kept, and its
    metrics are logged. Raises OrderMalformed, PredictionsUnreadable, ReferenceUnfit,
    DriftRecordMalformed and the registry's errors.
    """
    stack, at = assignment.order.read(_inputs)
    day, hours = covered(at)
    target = assignment.target()
    reads = drift.lake(target)
    find = cache(lambda number, digest: drift.version_reference(target, number, digest))
    before = record_of(assignment.workspace, stack, day - _DAY)
    if before is None or before.hours < HOURS:
        _write(assignment, reads, find, stack, day - _DAY, HOURS)
    record = _write(assignment, reads, find, stack, day, hours)
    metrics = metrics_of(record)
    assignment.report(DRIFT, {"stack": stack, "record": record.key, **metrics})
    return Findings(
        outcome="written",
        message=summary(record),
        metrics=metrics,
        report=f"s3://{target.outputs.workspace}/{record.key}",
    )


def covered(at: datetime) -> tuple[date, int]:
    """Returns the latest day with stored predictions at `at`, and its number of complete hours (1 to 24)."""
    end = (at.astimezone(UTC) - LATE).replace(minute=0, second=0, microsecond=0)
    day = (end - timedelta(microseconds=1)).date()
    return day, round((end - _midnight(day)) / timedelta(hours=1))


def metrics_of(record: DriftRecord) -> dict[str, float]:
    """Returns the values for metric filters; without accuracy if it is unknown."""
    found: dict[str, float] = {
        DRIFTING_CAMERAS.field: len(record.drifting),
        SILENT_CAMERAS.field: len(record.silent),
        DRIFTED_WINDOWS.field: record.drifted_windows,
    }
    lowest = record.lowest_accuracy
    return found if lowest is None else {**found, ACCURACY_PERCENT.field: round(100 * lowest, 2)}


def summary(record: DriftRecord) -> str:
    """Returns a one-line summary of a record."""
    parts = [f"{len(record.cameras)} cameras until {record.end:%Y-%m-%d %H:%M} UTC"]
    for what, names in (("drifting", record.drifting), ("silent", record.silent)):
        parts.append(f"{what}: {', '.join(names) or 'none'}")
    return "; ".join(parts)


def _inputs(fields: Fields) -> tuple[str, datetime]:
    stack, at = fields.text("stack"), datetime.fromisoformat(fields.text("at"))
    if at.tzinfo is None:
        raise ValueError("field 'at' has no time zone")
    return stack, at


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


def _write(assignment: Assignment, reads: Reads, find: FindReference, stack: str, day: date, hours: int) -> DriftRecord:
    """Create the record of a day's first hours, unless one of at least as many hours exists. Returns the record."""
    known = record_of(assignment.workspace, stack, day)
    if known is not None and known.hours >= hours:
        return known
    past = _complete_before(records(assignment.workspace, stack, first=day - MOST_DAYS * _DAY, last=day - _DAY), day)
    start = _midnight(day)
    cameras: list[CameraDrift] = []
    names = sorted(
        {*drift.recorded_cameras(reads, stack), *(each.camera for record in past for each in record.cameras)}
    )
    for camera in names:
        assignment.check()
        (found,) = drift.examine(
            reads, stack, cameras=[camera], start=start, end=start + timedelta(hours=hours), reference_of=find
        )
        cameras.append(camera_of(found, [_seen(record, camera) for record in past]))
    record = DriftRecord(
        stack=stack,
        day=day.isoformat(),
        hours=hours,
        written_at=format_time(utc_now()),
        cameras=tuple(cameras),
    )
    try:
        assignment.workspace.create(record.key, record.to_bytes())
    except ObjectExists:  # written by another attempt that was still running
        return DriftRecord.from_bytes(assignment.workspace.get(record.key))
    return record


def _complete_before(found: Sequence[DriftRecord], day: date) -> list[DriftRecord]:
    """Returns the records of consecutive complete days up to the day before `day`, oldest first."""
    complete = {record.day: record for record in found if record.hours == HOURS}
    kept: list[DriftRecord] = []
    while (record := complete.get((day - (len(kept) + 1) * _DAY).isoformat())) is not None:
        kept.append(record)
    return kept[::-1]


def _seen(record: DriftRecord, camera: str) -> CameraDrift | None:
    return next((each for each in record.cameras if each.camera == camera), None)


def camera_of(found: DriftOfCamera, past: Sequence[CameraDrift | None]) -> CameraDrift:
    """Returns a camera's results. `past` are those of previous days, oldest first; None for a day without."""
    windows = tuple(map(_window, found.windows))
    return CameraDrift(
        camera=found.camera,
        hourly=tuple(found.hourly),
        windows=windows,
        drifting=ongoing([*_flags(past[-1] if past else None), *(each.drifted for each in windows)]),
        traffic=_traffic(found.hourly, past),
        without_reference=tuple(sorted(set(found.without_reference))),
    )


def _flags(before: CameraDrift | None) -> list[bool]:
    """Returns which windows of the previous day drifted; a day without windows keeps the state of the day before."""
    if before is None:
        return []
    return [each.drifted for each in before.windows] or [before.drifting]


def _traffic(hourly: Sequence[int], past: Sequence[CameraDrift | None]) -> TrafficFinding | None:
    """Returns the test of the last hours' traffic, since the camera's first photo; None without enough hours."""
    counts = np.array([*(each for day in past for each in (day.hourly if day else [0] * HOURS)), *hourly])
    sent = np.flatnonzero(counts)
    found = watch_traffic(counts[sent[0] :]) if len(sent) else None
    if found is None:
        return None
    return TrafficFinding(
        p_value=found.p_value,
        hours=found.hours,
        photos=found.photos,
        expected=round(found.expected, 3),
        silent=found.missing,
    )


def _window(found: WindowOfCamera) -> DriftWindow:
    estimate = found.accuracy
    return DriftWindow(
        version=found.version,
        digest=found.digest,
        begin=format_time(found.start),
        hours=found.hours,
        photos=found.examined.photos,
        rejected=tuple(
            Rejection(test=each.test, p_value=each.p_value, level=each.level, sentence=each.sentence)
            for each in found.examined.drifted
        ),
        accuracy=AccuracyEstimate(
            value=estimate.accuracy, low=estimate.low, high=estimate.high, because=estimate.because
        ),
        strange=tuple(found.strange),
    )
