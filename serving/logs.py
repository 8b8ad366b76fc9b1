"""Log lines as JSON: on standard output always, in CloudWatch where a log group is named."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import watchtower

from registry.masking import Secrets

_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and whatever was passed as `extra`; without `secrets`."""

    def __init__(self, secrets: Secrets | None = None) -> None:
        super().__init__()
        self._secrets = secrets or Secrets()

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _ORDINARY}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(self._secrets.hide_in(line), default=str, ensure_ascii=False)


def log_to_stdout(secrets: Secrets | None = None) -> None:
    """Send everything from INFO up to standard output, without `secrets`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(secrets))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)


class _CloudWatch(watchtower.CloudWatchLogHandler):
    FLUSH_TIMEOUT = 3  # seconds at the end of the process; 30 would exceed the usual timeout after SIGTERM


def log_to_cloudwatch(client: Any, *, group: str, stream: str) -> None:
    """Send the same lines to a CloudWatch log group, from a thread of its own.

    An outage costs lines, never an answer: the lines wait in memory while the client tries again, and standard output
    has them all.
    """
    handler = _CloudWatch(
        log_group_name=group,
        log_stream_name=stream,
        boto3_client=client,
        create_log_group=False,
        send_interval=5,
        max_batch_count=500,
    )
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
