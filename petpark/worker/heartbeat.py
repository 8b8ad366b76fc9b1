"""Heartbeats of a running job, from a thread of their own, so that no step of the work can be too long for them."""

import threading
from collections.abc import Callable
from typing import Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from petpark.worker.tokens import Answer

BEATS: Final = 5
"""In the time after which the state machine gives an instance up: four may be lost."""

_JOIN_SECONDS: Final = 45.0


class Heartbeat:
    """A context manager: calls `beat` at once and then every fifth of `limit_seconds`, until it is closed.

    A call that gets no answer is repeated at the next beat: whether somebody still waits, only an answer can say.
    """

    def __init__(self, beat: Callable[[], Answer], *, limit_seconds: float) -> None:
        self._beat = beat
        self._every = limit_seconds / BEATS
        self._closed = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop; a call under way is waited for."""
        self._closed.set()
        self._thread.join(_JOIN_SECONDS)

    def abandoned(self) -> bool:
        """Whether nobody waits for this attempt any more."""
        return self._abandoned.is_set()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                if self._beat() is Answer.NOT_WAITED_FOR:
                    self._abandoned.set()
                    return
            except (BotoCoreError, ClientError):
                pass  # see the class
            self._closed.wait(self._every)
