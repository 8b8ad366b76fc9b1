"""Progress of a stage of a job, reported at every tenth with the time left."""

import threading
import time
from collections.abc import Callable
from typing import Final

from training.job import ProgressRecord

_STEPS: Final = 10  # times in a stage


class Progress:
    """Counts what is done of one stage; any thread may count."""

    def __init__(
        self,
        doing: str,
        of: int,
        report: Callable[[ProgressRecord], object],
        *,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`doing` is one of `training.job.STAGES`; `done` of it an earlier machine did."""
        self._doing, self._of, self._report, self._clock = doing, of, report, clock
        self._first = self.done = done
        self._began = clock()
        self._lock = threading.Lock()

    def add(self, count: int = 1) -> bool:
        """Count; reports at the end of a tenth, and then returns True."""
        with self._lock:
            before, self.done = self.done, self.done + count
            if self.done * _STEPS // self._of == before * _STEPS // self._of:
                return False
            left = (self._clock() - self._began) / (self.done - self._first) * (self._of - self.done)
            self._report(ProgressRecord(doing=self._doing, done=self.done, of=self._of, seconds_left=round(left, 1)))
            return True
