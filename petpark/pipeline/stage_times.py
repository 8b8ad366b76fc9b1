"""Duration, work time and cost of each stage of a pipeline. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

_SYNC: Final = "startExecution.sync:2"
_ENDS: Final = ("taskSucceededEventDetails", "taskFailedEventDetails", "taskTimedOutEventDetails")


@dataclass(frozen=True, kw_only=True)
class StageTime:
    """One job of a pipeline, from the state's start to its end."""

    state: str
    began: datetime
    seconds: float | None
    """None while it runs."""
    work: float | None
    """Seconds of work in the last attempt; 0 for a result of an earlier run; None without a result."""
    usd: float | None

    @property
    def overhead(self) -> float | None:
        """Seconds without work: launch, boot, interrupted attempts, polling."""
        return None if self.seconds is None or self.work is None else round(max(0.0, self.seconds - self.work), 2)


def stage_times(events: Iterable[Mapping[str, Any]]) -> list[StageTime]:
    """Returns the jobs of an execution in order of their start. `events` is the complete history.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
    """
    found = {event["id"]: event for event in events}
    began: dict[int, Mapping[str, Any]] = {}
    ended: dict[int, Mapping[str, Any]] = {}
    for event in found.values():
        entered = _entered(event, found)
        if entered is None:
            continue
        if event.get("taskScheduledEventDetails", {}).get("resource") == _SYNC:
            began[entered["id"]] = entered
        elif any(name in event for name in _ENDS):
            ended[entered["id"]] = event
    return [_time(entered, ended.get(number)) for number, entered in began.items()]


def _entered(event: Mapping[str, Any], events: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Returns the event that entered the state of `event`."""
    at: Mapping[str, Any] | None = event
    while at is not None and "stateEnteredEventDetails" not in at:
        at = events.get(at.get("previousEventId", 0))
    return at


def _time(entered: Mapping[str, Any], end: Mapping[str, Any] | None) -> StageTime:
    output = {} if end is None else _output(end)
    seconds = None if end is None else (end["timestamp"] - entered["timestamp"]).total_seconds()
    usd, worked = output.get("usd"), output.get("seconds")
    return StageTime(
        state=entered["stateEnteredEventDetails"]["name"],
        began=entered["timestamp"],
        seconds=seconds,
        # A job with a stored result is not run again and costs nothing.
        work=0.0 if usd == 0 else worked,
        usd=usd,
    )


def _output(end: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the job's output; empty if it failed."""
    try:
        found: Any = json.loads(end["taskSucceededEventDetails"]["output"])["Output"]
    except (KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def rows(times: Iterable[StageTime]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield table rows of stage, seconds, work, overhead and USD, and the sums for more than one stage."""
    listed = list(times)
    for each in listed:
        yield each.state, _number(each.seconds), _number(each.work), _number(each.overhead), _money(each.usd)
    if len(listed) > 1:
        seconds, work, overhead, usd = (
            sum(value or 0.0 for value in values)
            for values in zip(*((each.seconds, each.work, each.overhead, each.usd) for each in listed), strict=True)
        )
        yield "all", _number(seconds), _number(work), _number(overhead), _money(usd)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _money(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
