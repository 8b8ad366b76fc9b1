"""A job's logs: its log stream in CloudWatch, and the boot logs of instances that failed.

A job's stream in the training log group has the job's name, whichever instances ran it (`training.jobs.logs`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from petpark.jobs import executions, training_instances
from petpark.jobs.overdue import OverdueWatch
from petpark.output import printable
from registry import layout

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import GetLogEventsRequestTypeDef

    from petpark.targets.target import Target

_AFTERWARDS = 3
"""Looks after a job's end, for CloudWatch shows what it was sent some seconds later."""


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of a job's log: an event with its facts, or as it was written where it is none."""

    at: str
    """UTC, to the second, by the clock of the machine that ran the job."""
    event: str
    facts: Mapping[str, Any]

    def __str__(self) -> str:
        facts = ", ".join(f"{name} {_fact(value)}" for name, value in self.facts.items() if value is not None)
        return printable(f"{self.at}  {self.event}{': ' if facts else ''}{facts}")


@dataclass(frozen=True, kw_only=True)
class BootLog:
    """What one instance of a job said, from its boot on."""

    instance: str
    key: str
    """In the workspace."""
    lines: tuple[str, ...]


def said(
    target: Target,
    job: str,
    *,
    follow: bool = False,
    poll: float = 2.0,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[LogLine]:
    """The job's log from its beginning; with `follow` until the job ended or no instance of it is left.

    Raises `JobOverdue` where one is at work for longer than the job may take.
    Reads page by page: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
    """
    logs: CloudWatchLogsClient = target.client("logs", role=layout.Role.PUBLISHER)
    request: GetLogEventsRequestTypeDef = {
        "logGroupName": target.outputs.training.log_group,
        "logStreamName": job,
        "startFromHead": True,
    }
    token, left = "", _AFTERWARDS
    is_over = _over(target, job, clock) if follow else lambda: True
    while True:
        over = is_over()
        try:
            page = logs.get_log_events(**request)
        except logs.exceptions.ResourceNotFoundException:
            events, following = [], token
        else:
            events, following = page["events"], page["nextForwardToken"]
        yield from (_read(event.get("timestamp", 0), event.get("message", "")) for event in events)
        if following == token or not events:  # the end, for now: the same token again
            if not follow or (over and not left):
                return
            left -= over
            pause(poll)
        if following:
            request["nextToken"] = token = following


def boot_logs(target: Target, job: str) -> list[BootLog]:
    """What instances said that ended otherwise than well, the oldest first."""
    store = target.store(target.outputs.workspace, role=layout.Role.PUBLISHER)
    prefix = layout.boot_logs_prefix(job)
    return [
        BootLog(
            instance=kept.key.removeprefix(prefix).removesuffix(".log"),
            key=kept.key,
            lines=tuple(printable(line) for line in store.get(kept.key).decode(errors="replace").splitlines()),
        )
        for kept in sorted(store.stats(prefix), key=lambda kept: -kept.age)
    ]


def _over(target: Target, job: str, clock: Callable[[], float]) -> Callable[[], bool]:
    """Whether nothing more will be said: of an execution that ended, or of an instance that is gone."""
    from training.job import find_result

    store = target.store(target.outputs.workspace, role=layout.Role.PUBLISHER)
    if target.outputs.pipeline is not None and store.stat(layout.job_order_key(job)) is not None:
        return lambda: not executions.running(target, job)
    patience = OverdueWatch(target, job, clock=clock)

    def over() -> bool:
        newest = training_instances.newest(target, job)  # first: a job that ends it has written its result before
        return find_result(store, job) is not None or not patience.look(newest)

    return over


def _read(milliseconds: int, message: str) -> LogLine:
    at = f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    try:
        facts = cast("dict[str, Any]", json.loads(message))
        event = str(facts.pop("event"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return LogLine(at=at, event=message.rstrip(), facts={})
    return LogLine(
        at=at, event=event, facts={name: fact for name, fact in facts.items() if name not in {"time", "job"}}
    )


def _fact(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{name} {_fact(each)}" for name, each in value.items()) + ")"
    if isinstance(value, list):
        return ", ".join(map(_fact, value)) or "none"
    return str(value)
