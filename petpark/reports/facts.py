"""Data of a monthly report, as frozen records: readers create them, the page renders them.

A figure that is not known is `Unknown`, with the reason as the name of a text (`unknown.*` in `texts/`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction

from petpark.reports.month import Month
from registry.intervals import Interval


class Why(StrEnum):
    """Why a figure is unknown."""

    NO_EVENTS = "no-events"
    NO_METRICS = "no-metrics"
    NO_ACCESS = "no-access"
    NO_REQUESTS = "no-requests"
    NO_LABELS = "no-labels"
    NO_ESTIMATE = "no-estimate"
    NO_DRIFT_RUN = "no-drift-run"
    NO_PRICES = "no-prices"
    NO_PIPELINE = "no-pipeline"


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """There is no measurement, or it cannot be read."""

    why: Why


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share, 0 to 1, with its 95 % interval and number of photos."""

    value: float
    interval: Interval
    photos: int


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Request counts from CloudWatch."""

    total: int
    bad: int

    @property
    def share(self) -> float | None:
        """The share of successful requests; None without requests."""
        return None if not self.total else max(0.0, 1 - self.bad / self.total)


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Availability against its objective, in per cent, as in the settings."""

    objective: str
    days: Mapping[date, Requests]

    @property
    def all(self) -> Requests:
        """Sum of all days."""
        return Requests(
            total=sum(each.total for each in self.days.values()), bad=sum(each.bad for each in self.days.values())
        )

    def kept(self, requests: Requests) -> bool:
        """Whether these counts meet the objective; equality meets it."""
        return Fraction(requests.bad * 100) <= (100 - Fraction(self.objective)) * requests.total


@dataclass(frozen=True, kw_only=True)
class CameraMonth:
    """One camera: visits, and results from recorded predictions."""

    name: str
    daily: Mapping[tuple[str, date], int] = field(default_factory=dict[tuple[str, date], int])
    """Visits by class and day."""
    photos: int | None = None
    """Recorded predictions; None if unknown."""
    alarms: int | None = None
    """Drift alarms; None if unknown."""
    estimate: Share | Unknown = field(default_factory=lambda: Unknown(why=Why.NO_DRIFT_RUN))
    """Accuracy without labels."""

    @property
    def visits(self) -> Mapping[date, int]:
        """By day."""
        found: dict[date, int] = {}
        for (_, day), count in self.daily.items():
            found[day] = found.get(day, 0) + count
        return found

    @property
    def classes(self) -> Mapping[str, int]:
        """By class."""
        found: dict[str, int] = {}
        for (label, _), count in self.daily.items():
            found[label] = found.get(label, 0) + count
        return found

    @property
    def total(self) -> int:
        """Of the month."""
        return sum(self.daily.values())


@dataclass(frozen=True, kw_only=True)
class LabelledPeriod:
    """Accuracy from labels in a part of the month, named as the labels name it (`2026-11-03`, `2026-W45`)."""

    period: str
    accuracy: Share


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Accuracy from labels: of the month and of its periods."""

    month: Share
    periods: tuple[LabelledPeriod, ...]


@dataclass(frozen=True, kw_only=True)
class DriftAlarm:
    """Windows of a camera that drifted, one after the other; `tests` are names of `monitoring.levels.LEVELS`."""

    camera: str
    start: datetime
    end: datetime
    tests: tuple[str, ...]


class ChangeKind(StrEnum):
    """What changed."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    CERTIFIED = "certified"
    REFUSED = "refused"
    REVOKED = "revoked"
    EXPERIMENT_STARTED = "experiment-started"
    EXPERIMENT_ENDED = "experiment-ended"
    PIPELINE_SUCCEEDED = "pipeline-succeeded"
    PIPELINE_ENDED = "pipeline-ended"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change, who decided it and why. `why` is the person's own text."""

    at: datetime
    kind: ChangeKind
    channel: str = ""
    version: int | None = None
    before: int | None = None
    """The previous version of a channel."""
    outcome: str = ""
    """Of an experiment, or the name of a pipeline's end."""
    by: str = ""
    """The person who decided; empty if there was none."""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """USD at list prices. `stacks`: each stack of the platform to its cost in the hours of the month that are over."""

    stacks: Mapping[str, float] | Unknown
    jobs: float | Unknown
    telemetry: float | Unknown
    """Storage of the recorded predictions at the time of the report."""
    prices_of: str = ""
    """Date of the price list."""

    @property
    def total(self) -> float | Unknown:
        """Sum of all parts; unknown if any part is."""
        for part in (self.stacks, self.jobs, self.telemetry):
            if isinstance(part, Unknown):
                return part
        assert not isinstance(self.stacks, Unknown)  # noqa: S101 - for the type checker, as the next two
        assert not isinstance(self.jobs, Unknown)  # noqa: S101
        assert not isinstance(self.telemetry, Unknown)  # noqa: S101
        return sum(self.stacks.values()) + self.jobs + self.telemetry


@dataclass(frozen=True, kw_only=True)
class MonthFacts:
    """All data of a monthly report."""

    stack: str
    month: Month
    written_at: datetime
    cameras: tuple[CameraMonth, ...]
    availability: Availability | Unknown
    labelled: Labelled | Unknown
    estimate: Share | Unknown
    drift: tuple[DriftAlarm, ...] | Unknown
    drift_windows: int = 0
    """Number of tested windows."""
    changes: tuple[Change, ...]
    costs: Costs
    unreadable_events: int = 0
    """Number of objects that are not valid events."""

    @property
    def partial(self) -> bool:
        """Whether the month was not complete when the report was generated."""
        return self.written_at < self.month.end

    @property
    def visits(self) -> int | Unknown:
        """Visits of all cameras; unknown without any event."""
        counted = [each.total for each in self.cameras]
        return sum(counted) if any(counted) else Unknown(why=Why.NO_EVENTS)

    @property
    def classes(self) -> list[str]:
        """All classes of visits, the most frequent first."""
        found: dict[str, int] = {}
        for camera in self.cameras:
            for label, count in camera.classes.items():
                found[label] = found.get(label, 0) + count
        return sorted(found, key=lambda label: (-found[label], label))
