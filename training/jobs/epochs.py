"""Records of epochs, stored and logged in the background, so that a slow store or log does not delay the training.

One thread stores them and one logs them, each in the order in which epochs ended. `wait_until_stored` is what a
checkpoint waits for: an instance that resumes from it does not repeat these epochs, so it would not write their
records.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict
from typing import Final

from registry.errors import RegistryError
from registry.layout.jobs import epoch_key, progress_key
from registry.store.object_store import ObjectStore
from training.errors import SpecMalformed
from training.fitting.retry import PAUSES, create_with_retries
from training.job import EpochRecord, ProgressRecord, written
from training.jobs.logs import ReportEvent

NOT_STORED: Final = "epoch not stored"


class Epochs:
    """The records of one job's epochs, on their way into its workspace and its log.

    A record that cannot be stored, after a try for every pause and one more, is logged, and training
    continues. While the store is away each later record gets one try: the next that succeeds ends that.
    """

    def __init__(
        self,
        workspace: ObjectStore,
        job: str,
        *,
        report: ReportEvent,
        pauses: tuple[float, ...] = PAUSES,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._job, self._report = workspace, job, report
        self._pauses, self._pause = pauses, pause
        self._storing = ThreadPoolExecutor(1, thread_name_prefix="epochs")
        self._logging = ThreadPoolExecutor(1, thread_name_prefix="epoch-log")
        self._last_stored: Future[None] | None = None  # each thread works in order: the last one ends last
        self._last_logged: Future[None] | None = None
        self._away = False

    def add(self, record: EpochRecord) -> None:
        """Have `record` stored and logged; returns at once."""
        self._last_stored = self._storing.submit(self._store_epoch, record)

    def add_progress(self, record: ProgressRecord) -> None:
        """Have it stored and logged; returns at once."""
        self._last_stored = self._storing.submit(self._store_progress, record)

    def wait_until_stored(self) -> None:
        """Wait until every record so far is stored or has failed to be stored. Thread-safe."""
        if last := self._last_stored:
            wait([last])

    def settle(self) -> None:
        """Wait until every record is logged, and stored or has failed to be stored."""
        if last := self._last_stored:
            last.result()
        if last := self._last_logged:
            last.result()

    def _store_progress(self, record: ProgressRecord) -> None:
        with suppress(RegistryError):  # nothing is decided by it
            key = progress_key(self._job, *record.key)
            create_with_retries(self._store, key, written(record), pauses=(), pause=self._pause)
        self._log("progress", asdict(record))

    def _store_epoch(self, record: EpochRecord) -> None:
        try:
            pauses = () if self._away else self._pauses
            key = epoch_key(self._job, record.epoch)
            # It exists: an earlier instance got this far, but was stopped before its checkpoint.
            create_with_retries(self._store, key, written(record), pauses=pauses, pause=self._pause)
            self._away = False
        except SpecMalformed as error:  # its reader would refuse it, and every listing after that
            self._log(NOT_STORED, {"epoch": record.epoch, "message": str(error)})
        except RegistryError as error:
            self._away = True
            self._log(NOT_STORED, {"epoch": record.epoch, "message": str(error)})
        self._log("epoch", asdict(record))

    def _log(self, event: str, facts: Mapping[str, object]) -> None:
        self._last_logged = self._logging.submit(self._report, event, facts)
