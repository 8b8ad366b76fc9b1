"""Results of a stack's drift jobs on one day: created once in the workspace, never overwritten.

A record covers the first `hours` hours of a day (UTC). A later record of the same day covers these hours, too, so the
last one (the greatest key below `registry.layout.workspace.drift_day_prefix`) replaces the earlier ones.
docs/design/drift.md
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol, Self

from monitoring.levels import LEVELS
from registry.encoding import DIGEST, Fields, canonical, parse_canonical, parse_time
from registry.layout.workspace import drift_day_prefix, drift_key, drift_stack_prefix

SCHEMA: Final = "petpark.drift/1"
HOURS: Final = 24
_STACK: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_CAMERA: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_TEST: Final = re.compile("|".join(LEVELS))


class DriftRecordMalformed(ValueError):
    """A stored object is not a valid drift record; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A rejecting test and its explanation."""

    test: str
    """A name of `monitoring.levels.LEVELS`."""
    p_value: float
    level: float
    sentence: str
    """Explanation in English."""


@dataclass(frozen=True, kw_only=True)
class AccuracyEstimate:
    """The estimated accuracy without labels, 0 to 1, with the bounds of its 95 % interval."""

    value: float | None
    """None if unknown; `because` has the reason."""
    low: float
    high: float
    because: str


@dataclass(frozen=True, kw_only=True)
class DriftWindow:
    """Whole hours of one camera and one version that were tested together."""

    version: int
    digest: str
    begin: str
    """As `registry.encoding.format_time` writes it."""
    hours: int
    photos: int
    """Number of photos tested: at most one per camera and ten seconds."""
    rejected: tuple[Rejection, ...]
    """Rejecting tests, smallest p-value first; empty if there is no drift."""
    accuracy: AccuracyEstimate
    strange: tuple[str, ...]
    """Ids of the most unusual predictions, if the window drifted."""

    @property
    def drifted(self) -> bool:
        """Whether any test rejected."""
        return bool(self.rejected)

    @property
    def end(self) -> datetime:
        """The end of its last hour."""
        return parse_time(self.begin) + timedelta(hours=self.hours)


@dataclass(frozen=True, kw_only=True)
class TrafficFinding:
    """Traffic in the trailing hours that differ most from the same hours of earlier days."""

    p_value: float
    hours: int
    photos: int
    expected: float
    silent: bool
    """Whether there are significantly too few photos: the alarm `silent-camera`."""


@dataclass(frozen=True, kw_only=True)
class CameraDrift:
    """One camera, or class of callers, on this day."""

    camera: str
    hourly: tuple[int, ...]
    """Recorded photos of each hour of the record."""
    windows: tuple[DriftWindow, ...]
    """Ascending in time."""
    drifting: bool
    """Whether the alarm `drift` is active at the end of the record. It starts with a window that drifted, perhaps on an
    earlier day, and clears after two windows without drift."""
    traffic: TrafficFinding | None
    """None if fewer than 7 earlier days have records."""
    without_reference: tuple[int, ...]
    """Versions without a reference, whose windows could not be tested."""

    @property
    def photos(self) -> int:
        """Photos recorded in all hours of the record."""
        return sum(self.hourly)

    @property
    def accuracy(self) -> AccuracyEstimate | None:
        """The latest window's accuracy; None without a window."""
        return self.windows[-1].accuracy if self.windows else None


@dataclass(frozen=True, kw_only=True)
class DriftRecord:
    """All cameras of a stack, over the first `hours` hours of a day."""

    stack: str
    day: str
    """YYYY-MM-DD, UTC."""
    hours: int
    written_at: str
    cameras: tuple[CameraDrift, ...]
    """By name."""

    @property
    def key(self) -> str:
        """Key in the workspace."""
        return drift_key(self.stack, self.day, self.hours)

    @property
    def begin(self) -> datetime:
        """Midnight (UTC) of the day."""
        return datetime.combine(date.fromisoformat(self.day), datetime.min.time(), UTC)

    @property
    def end(self) -> datetime:
        """End of the tested hours."""
        return self.begin + timedelta(hours=self.hours)

    @property
    def drifting(self) -> tuple[str, ...]:
        """Cameras in alarm."""
        return tuple(each.camera for each in self.cameras if each.drifting)

    @property
    def silent(self) -> tuple[str, ...]:
        """Cameras with too few photos."""
        return tuple(each.camera for each in self.cameras if each.traffic is not None and each.traffic.silent)

    @property
    def drifted_windows(self) -> int:
        """Windows of this day that drifted."""
        return sum(window.drifted for each in self.cameras for window in each.windows)

    @property
    def lowest_accuracy(self) -> float | None:
        """The lowest of the cameras' latest estimates, 0 to 1; None if there are none."""
        estimates = (each.accuracy for each in self.cameras)
        known = [each.value for each in estimates if each is not None and each.value is not None]
        return min(known) if known else None

    def to_bytes(self) -> bytes:
        """The stored form: canonical JSON."""
        return canonical({"schema": SCHEMA, **asdict(self)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse a stored record. Raises DriftRecordMalformed."""
        try:
            fields = parse_canonical(data)
            fields.constant("schema", SCHEMA)
            record = cls(
                stack=fields.text("stack", _STACK),
                day=_day(fields.text("day")),
                hours=_at_most(fields.count("hours"), HOURS),
                written_at=_time(fields.text("written_at")),
                cameras=tuple(map(_camera, fields.nested_list("cameras"))),
            )
            fields.done()
            record.check()
        except ValueError as error:
            raise DriftRecordMalformed(f"not a drift record: {error}") from error
        return record

    def check(self) -> None:
        """ValueError if hours or windows do not fit the record."""
        names = [each.camera for each in self.cameras]
        if names != sorted(set(names)):
            raise ValueError("cameras are not sorted or not unique")
        for each in self.cameras:
            if len(each.hourly) != self.hours:
                raise ValueError(f"camera {each.camera} has {len(each.hourly)} hours of {self.hours}")
            begins = [parse_time(window.begin) for window in each.windows]
            if begins != sorted(begins):
                raise ValueError(f"the windows of camera {each.camera} are not in order")
            if any(
                begin < self.begin or window.end > self.end for begin, window in zip(begins, each.windows, strict=True)
            ):
                raise ValueError(f"camera {each.camera} has a window outside of the record")


class Reads(Protocol):
    """The part of ObjectStore that reading needs."""

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        ...

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        ...


def record_of(workspace: Reads, stack: str, day: date) -> DriftRecord | None:
    """Returns the last record of a day; None if there is none. DriftRecordMalformed with its key."""
    key = max(workspace.keys(drift_day_prefix(stack, day.isoformat())), default=None)
    if key is None:
        return None
    try:
        return DriftRecord.from_bytes(workspace.get(key))
    except DriftRecordMalformed as error:
        raise DriftRecordMalformed(f"{key}: {error}") from error


def records(workspace: Reads, stack: str, *, first: date, last: date) -> list[DriftRecord]:
    """Returns the last record of each day from `first` to `last` (both included) that has one, oldest first.

    One listing, and two requests for each. DriftRecordMalformed.
    """
    root = drift_stack_prefix(stack)
    days: list[str] = []
    for key in workspace.keys(root, after=drift_day_prefix(stack, first.isoformat())):
        day = key.removeprefix(f"{root}date=").partition("/")[0]
        if day > last.isoformat():
            break
        if day not in days:
            days.append(day)
    found = (record_of(workspace, stack, date.fromisoformat(day)) for day in days)
    return [record for record in found if record is not None]


def _camera(fields: Fields) -> CameraDrift:
    traffic = fields.optional_nested("traffic")
    found = CameraDrift(
        camera=fields.text("camera", _CAMERA),
        hourly=fields.counts("hourly"),
        windows=tuple(map(_window, fields.nested_list("windows"))),
        drifting=fields.flag("drifting"),
        traffic=None if traffic is None else _traffic(traffic),
        without_reference=fields.counts("without_reference"),
    )
    fields.done()
    return found


def _window(fields: Fields) -> DriftWindow:
    found = DriftWindow(
        version=fields.count("version"),
        digest=fields.text("digest", DIGEST),
        begin=_time(fields.text("begin")),
        hours=_at_most(fields.count("hours"), HOURS),
        photos=fields.count("photos"),
        rejected=tuple(map(_test, fields.nested_list("rejected"))),
        accuracy=_accuracy(fields.nested("accuracy")),
        strange=fields.texts("strange"),
    )
    fields.done()
    return found


def _test(fields: Fields) -> Rejection:
    found = Rejection(
        test=fields.text("test", _TEST),
        p_value=_share(fields.number("p_value")),
        level=_share(fields.number("level")),
        sentence=fields.text("sentence"),
    )
    fields.done()
    return found


def _accuracy(fields: Fields) -> AccuracyEstimate:
    value = fields.optional_number("value")
    found = AccuracyEstimate(
        value=None if value is None else _share(value),
        low=_share(fields.number("low")),
        high=_share(fields.number("high")),
        because=fields.text("because"),
    )
    fields.done()
    return found


def _traffic(fields: Fields) -> TrafficFinding:
    found = TrafficFinding(
        p_value=_share(fields.number("p_value")),
        hours=_at_most(fields.count("hours"), HOURS),
        photos=fields.count("photos", least=0),
        expected=fields.number("expected"),
        silent=fields.flag("silent"),
    )
    fields.done()
    return found


def _day(text: str) -> str:
    if date.fromisoformat(text).isoformat() != text:
        raise ValueError(f"{text!r} is not a day as petpark writes it")
    return text


def _time(text: str) -> str:
    parse_time(text)
    return text


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{value} is not between 0 and 1")
    return value


def _at_most(value: int, most: int) -> int:
    if value > most:
        raise ValueError(f"{value} is more than {most}")
    return value
