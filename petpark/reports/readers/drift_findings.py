"""Facts from drift records (`monitoring.drift_records`) for both pages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from petpark.reports.facts import DriftAlarm, Share, Unknown, Why
from petpark.reports.monitoring_facts import CameraMonitored, Rejected, StrangePhoto, TestedWindow, Traffic
from registry.encoding import parse_time

if TYPE_CHECKING:
    from monitoring.drift_records import AccuracyEstimate, CameraDrift, DriftRecord, DriftWindow

STRANGE: Final = 6
"""Maximum number of unusual photos per camera, from the latest windows that drifted."""

_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class CameraFindings:
    """Results for one camera in a period."""

    photos: int
    windows: tuple[TestedWindow, ...]
    alarms: tuple[DriftAlarm, ...]
    estimate: Share | Unknown


def findings(records: Sequence[DriftRecord], *, start: datetime, end: datetime) -> Mapping[str, CameraFindings]:
    """Returns each camera's results from `start` to `end`."""
    found: dict[str, CameraFindings] = {}
    for camera, parts in _by_camera(records).items():
        windows = tuple(each for each in _windows(parts) if start <= each.start < end)
        photos = sum(each.photos for each in _traffic(parts) if start <= each.start < end)
        if windows or photos:
            found[camera] = CameraFindings(
                photos=photos, windows=windows, alarms=_alarms(camera, windows), estimate=mean_estimate(windows)
            )
    return found


def mean_estimate(windows: Iterable[TestedWindow]) -> Share | Unknown:
    """Returns the estimate of all windows that have one, weighted by their photos.

    Its bounds are the weighted means of their bounds: windows share one reference, so their errors are not independent,
    and this interval is valid for any dependence.
    """
    known = [(each.photos, each.estimate) for each in windows if isinstance(each.estimate, Share)]
    photos = sum(count for count, _ in known)
    if not photos:
        return Unknown(why=Why.NO_ESTIMATE)

    def mean(values: Iterable[tuple[int, float]]) -> float:
        return sum(count * value for count, value in values) / photos

    low, high = (mean((count, share.interval[side]) for count, share in known) for side in (0, 1))
    return Share(value=mean((count, share.value) for count, share in known), interval=(low, high), photos=photos)


def monitored(records: Sequence[DriftRecord], *, start: datetime, end: datetime) -> list[CameraMonitored]:
    """Returns each camera's data for the monitoring page; unusual photos by their ids only."""
    found: list[CameraMonitored] = []
    for camera, parts in _by_camera(records).items():
        windows = tuple(each for each in _windows(parts) if start <= each.start < end)
        newest = parts[-1][1]
        silent = newest.traffic is not None and newest.traffic.silent
        found.append(
            CameraMonitored(
                name=camera,
                traffic=tuple(each for each in _traffic(parts) if start <= each.start < end),
                windows=windows,
                alarms=tuple((each.start, each.end) for each in _alarms(camera, windows)),
                missing_traffic=_missing(newest) if silent else "",
                strange=tuple(_strange(parts)),
                without_reference=tuple(sorted({each for _, part in parts for each in part.without_reference})),
            )
        )
    return found


type _Parts = list[tuple[DriftRecord, CameraDrift]]


def _by_camera(records: Sequence[DriftRecord]) -> dict[str, _Parts]:
    found: dict[str, _Parts] = {}
    for record in sorted(records, key=lambda each: each.begin):
        for camera in record.cameras:
            found.setdefault(camera.camera, []).append((record, camera))
    return dict(sorted(found.items()))


def _windows(parts: _Parts) -> list[TestedWindow]:
    found = [_window(window) for _, camera in parts for window in camera.windows]
    return sorted(found, key=lambda each: (each.start, each.version))


def _window(window: DriftWindow) -> TestedWindow:
    return TestedWindow(
        version=window.version,
        start=parse_time(window.begin),
        end=window.end,
        photos=window.photos,
        rejected=tuple(
            Rejected(test=each.test, p_value=each.p_value, sentence=each.sentence) for each in window.rejected
        ),
        estimate=_estimate(window.accuracy, window.photos),
        unknown_because=window.accuracy.because,
    )


def _estimate(found: AccuracyEstimate, photos: int) -> Share | Unknown:
    if found.value is None:
        return Unknown(why=Why.NO_ESTIMATE)
    return Share(value=found.value, interval=(found.low, found.high), photos=photos)


def _traffic(parts: _Parts) -> Iterator[Traffic]:
    for record, camera in parts:
        for hour, photos in enumerate(camera.hourly):
            begin = record.begin + hour * _HOUR
            yield Traffic(start=begin, end=begin + _HOUR, photos=photos)


def _alarms(camera: str, windows: Sequence[TestedWindow]) -> tuple[DriftAlarm, ...]:
    """An alarm starts with a window that drifted, and clears after two without drift."""
    from monitoring.windows import alarms

    found: list[DriftAlarm] = []
    for first, last in alarms([bool(each.rejected) for each in windows]):
        part = windows[first : last + 1]
        tests = dict.fromkeys(each.test for window in part for each in window.rejected)
        found.append(DriftAlarm(camera=camera, start=part[0].start, end=part[-1].end, tests=tuple(tests)))
    return tuple(found)


def _strange(parts: _Parts) -> Iterator[StrangePhoto]:
    """The most unusual photos of the latest windows that drifted; records have no pictures."""
    left = STRANGE
    for _, camera in reversed(parts):
        for window in reversed(camera.windows):
            for each in window.strange[:left]:
                yield StrangePhoto(id=each, start=parse_time(window.begin), end=window.end)
            left -= min(left, len(window.strange))
            if not left:
                return


def _missing(camera: CameraDrift) -> str:
    found = camera.traffic
    if found is None:
        return ""
    when = "the last hour" if found.hours == 1 else f"the last {found.hours} hours"
    return f"{found.photos} photos in {when}; on earlier days there were {found.expected:.0f} at these hours"
