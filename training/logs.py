"""What a job says while it runs: JSON lines on standard output and, where there is a log group, in CloudWatch.

A log that cannot be written never stops a training.
"""

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_LOGGER = "petpark.training"


class Log:
    """Says events with facts. Close it, so that nothing said is lost."""

    def __init__(self, job: str, *, group: str | None = None, client: "CloudWatchLogsClient | None" = None) -> None:
        self._job = job
        self._logger = logging.getLogger(f"{_LOGGER}.{job}")
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        self._logger.addHandler(logging.StreamHandler(sys.stdout))
        if group and client:
            self._send_to(group, client)

    def say(self, event: str, facts: Mapping[str, object]) -> None:
        """Say one event."""
        line = {"time": round(time.time(), 3), "job": self._job, "event": event, **facts}
        self._logger.info(json.dumps(line, default=str))

    def close(self) -> None:
        """Send what has not been sent, and stop."""
        for handler in list(self._logger.handlers):
            try:
                handler.close()
            except Exception as error:  # noqa: BLE001 - a log outage is no reason to fail
                print(f"log not sent completely: {error}", file=sys.stderr)
            self._logger.removeHandler(handler)

    def _send_to(self, group: str, client: "CloudWatchLogsClient") -> None:
        try:
            from watchtower import CloudWatchLogHandler

            handler = CloudWatchLogHandler(
                log_group_name=group,
                log_stream_name=self._job,
                boto3_client=client,
                create_log_group=False,
                send_interval=5,
            )
        except Exception as error:  # noqa: BLE001 - a log outage is no reason to fail
            self.say("logging to CloudWatch is off", {"group": group, "reason": str(error)})
        else:
            self._logger.addHandler(handler)
