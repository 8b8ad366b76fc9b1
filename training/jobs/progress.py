"""How far a stage of a job is, told a tenth at a time: whoever waits sees that it goes on, and for how long it will."""

import threading
import time
from collections.abc import Callable
from typing import Final

from training.jobs.job import ProgressRecord

_TOLD: Final = 10  # times in a stage


class Progress:
    """Counts what is done of one stage; any thread may count."""

    def __init__(
        self,
        doing: str,
        of: int,
        tell: Callable[[ProgressRecord], object],
        *,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`doing` is one of `training.jobs.job.STAGES`; `done` of it an earlier machine did."""
        self._doing, self._of, self._tell, self._clock = doing, of, tell, clock
        self._first = self.done = done
        self._began = clock()
        self._lock = threading.Lock()

    def add(self, count: int = 1) -> bool:
        """Count; tells where that ends a tenth, and then gives True."""
        with self._lock:
            before, self.done = self.done, self.done + count
            if self.done * _TOLD // self._of == before * _TOLD // self._of:
                return False
            left = (self._clock() - self._began) / (self.done - self._first) * (self._of - self.done)
            self._tell(ProgressRecord(doing=self._doing, done=self.done, of=self._of, seconds_left=round(left, 1)))
            return True
