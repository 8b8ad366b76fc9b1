"""Visits of a month, from the events that camera agents stored in the data lake (`docs/design/formats.md`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from registry.encoding import parse_time
from registry.layout.data_lake import EVENTS, events_prefix
from registry.store.transfer import REQUESTS_AT_ONCE, in_order

if TYPE_CHECKING:
    from petpark.reports.month import Month

_BEGAN: Final = "began"


class Reads(Protocol):
    """The part of ObjectStore that reading needs."""

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        ...

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        ...


@dataclass(frozen=True, kw_only=True)
class Visits:
    """Visits by camera, class and day, and the number of invalid objects."""

    cameras: Mapping[str, Mapping[tuple[str, date], int]]
    unreadable: int


def read_visits(lake: Reads, month: Month, until: datetime) -> Visits:
    """Count `began` events from the month's start to `until`, as the agent does for "visits today".

    An event is in the folder of its day in UTC; which day of the park it is on is by its time.
    """
    found: dict[str, Counter[tuple[str, date]]] = {}
    unreadable = 0
    for camera in event_cameras(lake):
        keys = [key for day in month.utc_days for key in lake.keys(events_prefix(camera, day.isoformat()))]
        counts = found.setdefault(camera, Counter())
        for event in in_order(lambda key: _event(lake.get(key)), keys, at_once=REQUESTS_AT_ONCE):
            if event is None:
                unreadable += 1
            elif event.kind == _BEGAN and month.start <= event.at < until:
                counts[event.label, month.day_of(event.at)] += 1
    return Visits(cameras=found, unreadable=unreadable)


def event_cameras(lake: Reads) -> list[str]:
    """Returns the cameras that have events. Needs one request per camera."""
    found: list[str] = []
    after = ""
    while (key := next(iter(lake.keys(EVENTS, after=after)), None)) is not None:
        camera = key.removeprefix(EVENTS).partition("/")[0]
        found.append(camera)
        after = f"{EVENTS}{camera}0"  # after "/": skips all keys of this folder
    return found


@dataclass(frozen=True, kw_only=True)
class _Event:
    kind: str
    label: str
    at: datetime


def _event(data: bytes) -> _Event | None:
    """The counted fields of an event; None for anything else. Further fields are accepted."""
    try:
        facts: Any = json.loads(data)
        kind, label, at = (facts[name] for name in ("kind", "label", "at"))
        if not (isinstance(kind, str) and isinstance(label, str)):
            return None
        return _Event(kind=kind, label=label, at=parse_time(at))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
