"""Heartbeats of a running job, sent by a separate thread so that long steps of the work do not delay them."""

import threading
from collections.abc import Callable
from typing import Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from petpark.worker.tokens import Answer

BEATS: Final = 5
"""Heartbeats per timeout of the state: four in a row may be lost."""

_JOIN_SECONDS: Final = 45.0


class Heartbeat:
    """A context manager: calls `beat` immediately and then every fifth of `limit_seconds`, until it exits.

    A failed call is ignored: only a response can say that the task has ended.
    """

    def __init__(self, beat: Callable[[], Answer], *, limit_seconds: float) -> None:
        self._beat = beat
        self._every = limit_seconds / BEATS
        self._closed = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Start sending."""
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop sending; waits for a call in progress."""
        self._closed.set()
        self._thread.join(_JOIN_SECONDS)

    def abandoned(self) -> bool:
        """Whether the state machine no longer waits for this attempt."""
        return self._abandoned.is_set()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                if self._beat() is Answer.TASK_ENDED:
                    self._abandoned.set()
                    return
            except (BotoCoreError, ClientError):
                pass  # retried at the next heartbeat
            self._closed.wait(self._every)
