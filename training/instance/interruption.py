"""Knowing in time that the machine will be taken away: SIGTERM, a spot interruption notice, or a rebalance signal."""

import json
import signal
import threading
from types import FrameType
from typing import Final

from training.instance import metadata

NOTICE_PATH: Final = "spot/instance-action"
REBALANCE_PATH: Final = "events/recommendations/rebalance"
_TRIES: Final = 3
_JOIN_SECONDS: Final = 4.0


class Interruption:
    """Whether the instance is interrupted. A context manager: watches while it is open.

    Asks the instance metadata service (IMDSv2) every `poll_seconds`; a notice comes two minutes before the machine
    goes. Where no such service answers, only SIGTERM counts.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html

    With `rebalance` a recommendation to move elsewhere counts as well: it comes earlier than the notice, or with it.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
    """

    def __init__(self, endpoint: str | None = None, *, poll_seconds: float = 2.0, rebalance: bool = False) -> None:
        self._endpoint = (endpoint or metadata.default_endpoint()).rstrip("/")
        self._poll_seconds = poll_seconds
        self._rebalance = rebalance
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
        self._watcher.join(timeout=_JOIN_SECONDS)

    def noticed(self) -> bool:
        """Returns whether the machine will be taken away."""
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
                elif self._rebalance and (at := rebalance_recommended(self._endpoint)):
                    self._notice(f"rebalance recommendation of {at}")
                failures = 0
            except (OSError, ValueError):
                failures += 1
            if self._closed.wait(self._poll_seconds):
                return


def spot_notice(endpoint: str) -> str | None:
    """Returns how EC2 will interrupt the instance: `terminate`, `stop`, or None.

    Raises OSError or ValueError where no instance metadata service answers.
    """
    notice = metadata.read(endpoint, NOTICE_PATH)
    return None if notice is None else str(json.loads(notice).get("action", "terminate"))


def rebalance_recommended(endpoint: str) -> str | None:
    """Returns the time of EC2's rebalance recommendation; None without one.

    Raises OSError or ValueError where no instance metadata service answers.
    """
    notice = metadata.read(endpoint, REBALANCE_PATH)
    return None if notice is None else str(json.loads(notice).get("noticeTime", "now"))
