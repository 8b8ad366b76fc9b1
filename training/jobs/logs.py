"""The log of a job: JSON lines on standard output and, if there is a log group, in CloudWatch.

A job logs a few lines a minute, so each is sent at once, and nothing is lost when the machine goes. A log that cannot
be written never stops a training.
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
"""Lines in a row that may fail to be sent before sending is given up."""


type ReportEvent = Callable[[str, Mapping[str, object]], None]
"""Reports a job's progress: an event, and facts about it."""


def print_line(line: str) -> None:
    """Print a line on standard output, unless it is closed: the reader of the pipe may end first."""
    with suppress(OSError):
        print(line, flush=True)


class Log:
    """Logs events with facts, for one job; its log stream is named after it."""

    def __init__(self, job: str, *, group: str | None = None, client: "CloudWatchLogsClient | None" = None) -> None:
        self._job = job
        self._group = group
        self._client = client
        self._failures = 0
        if group and client:
            try:
                client.create_log_stream(logGroupName=group, logStreamName=job)
            except client.exceptions.ResourceAlreadyExistsException:
                pass  # an earlier machine began this job
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
        print(f"petpark: nothing is sent to log group {self._group} any more: {error}", file=sys.stderr, flush=True)
