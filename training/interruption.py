"""Knowing in time that the machine will be taken away: SIGTERM, or a spot interruption notice."""

import json
import os
import signal
import threading
import urllib.error
import urllib.request
from types import FrameType
from typing import Final

NOTICE_PATH: Final = "/latest/meta-data/spot/instance-action"
_TOKEN_PATH: Final = "/latest/api/token"  # noqa: S105 - a path
_TIMEOUT: Final = 2.0
_TRIES: Final = 3


class Interruption:
    """Says whether to stop. A context manager: watches while it is open.

    Asks the instance metadata service (IMDSv2) every `poll_seconds`; a notice comes two minutes before the machine
    goes. Where no such service answers, only SIGTERM counts.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
    """

    def __init__(self, endpoint: str | None = None, *, poll_seconds: float = 2.0) -> None:
        self._endpoint = (endpoint or _default_endpoint()).rstrip("/")
        self._poll_seconds = poll_seconds
        self._noticed = threading.Event()
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="interruption", daemon=True)
        self.reason: str | None = None

    def __enter__(self) -> "Interruption":
        """Begin to watch; must be called in the main thread."""
        self._before = signal.signal(signal.SIGTERM, self._on_signal)
        self._watcher.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop watching."""
        self._closed.set()
        signal.signal(signal.SIGTERM, self._before)
        self._watcher.join(timeout=2 * _TIMEOUT)

    def noticed(self) -> bool:
        """Say whether the machine will be taken away."""
        return self._noticed.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait for a notice; says whether there is one."""
        return self._noticed.wait(timeout)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._notice("SIGTERM")

    def _notice(self, reason: str) -> None:
        self.reason = self.reason or reason
        self._noticed.set()

    def _watch(self) -> None:
        failures = 0
        while not self._noticed.is_set() and failures < _TRIES:
            try:
                if action := spot_notice(self._endpoint):
                    self._notice(f"spot notice: {action}")
                failures = 0
            except (OSError, ValueError):
                failures += 1
            if self._closed.wait(self._poll_seconds):
                return


def spot_notice(endpoint: str) -> str | None:
    """Ask whether, and how, the instance will be interrupted: `terminate`, `stop` or None.

    Raises OSError or ValueError where no instance metadata service answers.
    """
    token = _call(endpoint + _TOKEN_PATH, "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "300"})
    try:
        notice = _call(endpoint + NOTICE_PATH, "GET", {"X-aws-ec2-metadata-token": token})
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:  # no notice
            return None
        raise
    return str(json.loads(notice).get("action", "terminate"))


def _call(url: str, method: str, headers: dict[str, str]) -> str:
    if not url.startswith("http"):
        raise ValueError(f"{url} is no http address")
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310 - checked above
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
        return response.read().decode()


def _default_endpoint() -> str:
    return os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
