"""The thread on which a challenger classifies photos after their response, at the lowest priority."""

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

QUEUE: Final = 16
"""Maximum number of waiting photos; more are skipped."""

_NICE: Final = 15


class Shadow:
    """One thread, started with the first work. Work beyond the queue is refused."""

    def __init__(self, *, waiting: int = QUEUE) -> None:
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue(waiting)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def offer(self, work: Callable[[], None]) -> bool:
        """Queue `work`. Returns False if the queue is full."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
                self._thread.start()
        try:
            self._work.put_nowait(work)
        except queue.Full:
            return False
        return True

    def settle(self) -> None:
        """Wait until the queue is empty."""
        self._work.join()

    def _run(self) -> None:
        # Linux has a priority for each thread, by its id: https://man7.org/linux/man-pages/man2/setpriority.2.html
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            work = self._work.get()
            try:
                if work is not None:
                    work()
            except Exception:
                logger.exception("shadow request failed")
            finally:
                self._work.task_done()
