"""Data of the monitoring page, as frozen records."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from petpark.reports.facts import Share, Unknown

TESTS = ("outputs", "inputs", "strangeness", "embeddings", "classifier", "traffic")
"""Names of `monitoring.levels.LEVELS`, in the order of the page. Not imported: jobs may lack that package."""


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A rejecting test; `sentence` is its explanation in English, from `monitoring`."""

    test: str
    p_value: float
    sentence: str


@dataclass(frozen=True, kw_only=True)
class TestedWindow:
    """Whole hours of one camera and version that were tested together."""

    version: int
    start: datetime
    end: datetime
    photos: int
    rejected: tuple[Rejected, ...]
    estimate: Share | Unknown
    """Accuracy without labels."""
    unknown_because: str = ""
    """Why there is no estimate; in English, from `monitoring`."""


@dataclass(frozen=True, kw_only=True)
class StrangePhoto:
    """A photo unlike validation photos, of the window from `start` to `end`.

    `thumbnail`: JPEG; None if the policy allows none, or the record has expired.
    """

    id: str
    start: datetime
    end: datetime
    thumbnail: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class TrueAccuracy:
    """Accuracy from labels, of photos taken from `start` to `end`."""

    start: datetime
    end: datetime
    accuracy: Share


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A version that was active on the channel from `start` to `end`."""

    version: int
    start: datetime
    end: datetime
    by: str
    rollback: bool = False


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Photos that were recorded from `start` to `end`."""

    start: datetime
    end: datetime
    photos: int


@dataclass(frozen=True, kw_only=True)
class CameraMonitored:
    """One camera."""

    name: str
    traffic: tuple[Traffic, ...]
    windows: tuple[TestedWindow, ...]
    alarms: tuple[tuple[datetime, datetime], ...]
    missing_traffic: str = ""
    """Explanation of the traffic test if photos are missing; in English, from `monitoring`."""
    strange: tuple[StrangePhoto, ...] = ()
    without_reference: tuple[int, ...] = ()
    """Versions of this camera's predictions without a reference."""
    labelled: tuple[TrueAccuracy, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether anything drifted, or photos are missing."""
        return bool(self.alarms or self.missing_traffic)


@dataclass(frozen=True, kw_only=True)
class MonitoringFacts:
    """All data of the page, from `start` to `end`."""

    stack: str
    channel: str
    start: datetime
    end: datetime
    written_at: datetime
    zone: ZoneInfo
    cameras: tuple[CameraMonitored, ...]
    serving: tuple[Serving, ...]
    labelled: tuple[TrueAccuracy, ...] = ()
    """All cameras together."""
    last_run: datetime | None = None
    """End of the hours that drift jobs have tested; None if none has run."""
