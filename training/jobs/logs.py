"""The log of a job: JSON lines on standard output and, if there is a log group, in CloudWatch.

A job logs a few lines a minute, so each is sent immediately, and an interruption loses none. A log that cannot be
written does not stop a training.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_MAX_FAILURES: Final = 3
"""Consecutive failures after which no more lines are sent to CloudWatch."""


type ReportEvent = Callable[[str, Mapping[str, object]], None]
"""Reports an event of a job, with its fields."""


def print_line(line: str) -> None:
    """Print a line to standard output; does nothing if it is closed, since the reader of the pipe may end first."""
    with suppress(OSError):
        print(line, flush=True)


class Log:
    """Logs the events of one job, to a log stream named after it."""

    def __init__(self, job: str, *, group: str | None = None, client: "CloudWatchLogsClient | None" = None) -> None:
        self._job = job
        self._group = group
        self._client = client
        self._failures = 0
        if group and client:
            try:
                client.create_log_stream(logGroupName=group, logStreamName=job)
            except client.exceptions.ResourceAlreadyExistsException:
                pass  # created by an earlier instance of the job
            except Exception as error:  # noqa: BLE001 - a log outage is no reason to fail
                self._give_up(error)

    def report(self, event: str, facts: Mapping[str, object]) -> None:
        """Log one event."""
        now = time.time()
        line = json.dumps({"time": round(now, 3), "job": self._job, "event": event, **facts}, default=str)
        print_line(line)
        if self._group and self._client:
            self._send(self._client, self._group, line, now)

    def _send(self, client: "CloudWatchLogsClient", group: str, line: str, now: float) -> None:
        try:
            client.put_log_events(
                logGroupName=group,
                logStreamName=self._job,
                logEvents=[{"timestamp": int(now * 1000), "message": line}],
            )
            self._failures = 0
        except Exception as error:  # noqa: BLE001 - a log outage is no reason to fail
            self._failures += 1
            if self._failures == _MAX_FAILURES:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._client = None
        print(f"petpark: no more lines are sent to log group {self._group}: {error}", file=sys.stderr, flush=True)
