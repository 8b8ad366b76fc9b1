"""A job's logs: its CloudWatch log stream, and the boot logs of failed instances.

The log stream is named after the job, and shared by all instances that ran it (`training.jobs.logs`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from petpark.errors import LogMissing
from petpark.jobs import executions
from petpark.output.formats import printable
from registry.errors import ObjectMissing
from registry.layout.jobs import boot_logs_prefix, job_order_key, job_spec_key
from registry.layout.roles import Role

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import GetLogEventsRequestTypeDef

    from petpark.targets.target import Target

_POLLS_AFTER_END = 3
"""Polls after a job's end: CloudWatch returns events some seconds after they were sent."""


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of a job's log: an event with its fields; for a line that is not a JSON event, the line itself."""

    at: str
    """UTC, to the second, by the clock of the instance that ran the job."""
    event: str
    facts: Mapping[str, Any]

    def __str__(self) -> str:
        facts = ", ".join(f"{name} {_fact(value)}" for name, value in self.facts.items() if value not in (None, ""))
        return printable(f"{self.at}  {self.event}{': ' if facts else ''}{facts}")


@dataclass(frozen=True, kw_only=True)
class BootLog:
    """Console output of one instance of a job, from boot."""

    instance: str
    key: str
    """Object key in the workspace."""
    lines: tuple[str, ...]


def read(
    target: Target,
    job: str,
    *,
    follow: bool = False,
    poll: float = 2.0,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[LogLine]:
    """Yield the job's log from its beginning; with `follow`, until no execution runs the job.

    Polls every `poll` seconds. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
    """
    logs: CloudWatchLogsClient = target.client("logs", role=Role.PUBLISHER)
    request: GetLogEventsRequestTypeDef = {
        "logGroupName": group(target, job),
        "logStreamName": job,
        "startFromHead": True,
    }
    token, left = "", _POLLS_AFTER_END
    while True:
        over = not (follow and executions.running(target, job))
        try:
            page = logs.get_log_events(**request)
        except logs.exceptions.ResourceNotFoundException:
            events, following = [], token
        else:
            events, following = page["events"], page["nextForwardToken"]
        yield from (_parse(event.get("timestamp", 0), event.get("message", "")) for event in events)
        at_end = following == token  # CloudWatch repeats the token; before the end, a page may be empty
        if at_end and (not follow or (over and left <= 0)):
            return
        if follow and (at_end or not events):
            left -= over
            pause(poll)
        if following:
            request["nextToken"] = token = following


def group(target: Target, job: str) -> str:
    """Returns the name of the log group with the job's stream: that of the machine on which its purpose runs."""
    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    pipeline = target.outputs.pipeline
    if pipeline is None or not pipeline.small_log_group or store.stat(job_spec_key(job)) is not None:
        return target.outputs.training.log_group
    try:
        order = json.loads(store.get(job_order_key(job)))
        trains = order["purpose"] in ("train", "trial")
    except (ObjectMissing, ValueError, KeyError, TypeError):
        trains = True
    return target.outputs.training.log_group if trains else pipeline.small_log_group


def missing(target: Target, job: str) -> LogMissing:
    """Returns the error for a job without a log, with how its newest execution ended, if known."""
    ended = executions.last(target, job)
    if ended is None or ended["status"] in ("RUNNING", "SUCCEEDED"):
        why = f"none of its instances has started, or the log expired in the log group {group(target, job)}"
        return LogMissing(f"Job {job} has no log: {why}.", next_step=f"petpark jobs show {job}")
    name = ended["executionArn"].rpartition(":")[2]
    cause = ended.get("cause") or "Step Functions recorded no cause; the execution's history shows the last state"
    why = f"its execution {name} ended as {ended.get('error') or ended['status']}: {cause}"
    return LogMissing(
        f"Job {job} has no log: {why}",
        next_step=f"petpark jobs show {job}; aws stepfunctions get-execution-history --reverse-order "
        f"--execution-arn {ended['executionArn']}",
    )


def boot_logs(target: Target, job: str) -> list[BootLog]:
    """Returns the boot logs of the job's failed instances, oldest first."""
    store = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    prefix = boot_logs_prefix(job)
    return [
        BootLog(
            instance=stored.key.removeprefix(prefix).removesuffix(".log"),
            key=stored.key,
            lines=tuple(printable(line) for line in store.get(stored.key).decode(errors="replace").splitlines()),
        )
        for stored in sorted(store.stats(prefix), key=lambda stored: -stored.age)
    ]


def _parse(milliseconds: int, message: str) -> LogLine:
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
