"""Accuracy from labelled samples for both pages (`docs/design/labels.md`). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from petpark.reports.facts import Labelled, LabelledPeriod, Share, Unknown, Why
from petpark.reports.monitoring_facts import TrueAccuracy

if TYPE_CHECKING:
    from monitoring.late_labels import true_accuracy as estimates


def of_month(samples: Sequence[estimates.LabelledSample]) -> Labelled | Unknown:
    """Returns the accuracy of all samples, and of each week; unknown without labels."""
    from monitoring.late_labels.true_accuracy import true_accuracy

    whole = [share for found in true_accuracy(samples, by=()) if (share := _share(found)) is not None]
    if not whole:
        return Unknown(why=Why.NO_LABELS)
    weeks = [(found.week or "", _share(found)) for found in true_accuracy(samples, by=("week",))]
    periods = [LabelledPeriod(period=week, accuracy=share) for week, share in weeks if share is not None]
    return Labelled(month=whole[0], periods=tuple(periods))


def over_time(samples: Sequence[estimates.LabelledSample]) -> tuple[TrueAccuracy, ...]:
    """Returns the accuracy of each week, of all cameras."""
    from monitoring.late_labels.true_accuracy import true_accuracy

    return tuple(_periods(true_accuracy(samples, by=("week",))))


def of_cameras(samples: Sequence[estimates.LabelledSample]) -> Mapping[str, tuple[TrueAccuracy, ...]]:
    """Returns the accuracy of each week, by camera."""
    from monitoring.late_labels.true_accuracy import true_accuracy

    found: dict[str, list[estimates.TrueAccuracy]] = {}
    for each in true_accuracy(samples, by=("camera", "week")):
        found.setdefault(each.camera or "", []).append(each)
    return {camera: tuple(_periods(each)) for camera, each in found.items()}


def week_of(name: str) -> tuple[datetime, datetime]:
    """Returns the beginning and the end of a week of ISO 8601, such as 2026-W48, in UTC."""
    year, week = name.split("-W")
    monday = date.fromisocalendar(int(year), int(week), 1)
    start = datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
    return start, start + timedelta(days=7)


def _periods(found: Sequence[estimates.TrueAccuracy]) -> list[TrueAccuracy]:
    shares = [(week_of(each.week), share) for each in found if each.week and (share := _share(each)) is not None]
    return [TrueAccuracy(start=start, end=end, accuracy=share) for (start, end), share in shares]


def _share(found: estimates.TrueAccuracy) -> Share | None:
    if found.accuracy is None:
        return None
    return Share(value=found.accuracy, interval=found.interval, photos=found.labelled)
