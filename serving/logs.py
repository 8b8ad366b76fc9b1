"""Log lines as JSON: on standard output, and in CloudWatch if a log group is set."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import watchtower

from registry.masking import Secrets

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as a JSON object: time, level, logger, message and `extra` fields; `secrets` are masked."""

    def __init__(self, secrets: Secrets | None = None) -> None:
        super().__init__()
        self._secrets = secrets or Secrets()

    def format(self, record: logging.LogRecord) -> str:
        """Returns the JSON of a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(self._secrets.hide_in(line), default=str, ensure_ascii=False)


def log_to_stdout(secrets: Secrets | None = None) -> None:
    """Log level INFO and above to standard output; `secrets` are masked."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(secrets))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)


class _CloudWatch(watchtower.CloudWatchLogHandler):
    FLUSH_TIMEOUT = 3  # seconds at the end of the process; 30 would exceed the usual timeout after SIGTERM


def log_to_cloudwatch(client: Any, *, group: str, stream: str) -> None:
    """Also send the lines to a CloudWatch log group, from a separate thread.

    Requests never wait for it: lines are buffered in memory while the client retries. An outage may lose lines there,
    but not on standard output.
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
