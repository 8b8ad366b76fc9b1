"""Records of epochs, stored and logged in the background, so that a slow store or log does not delay the training.

One thread stores them and one logs them, both in order. A checkpoint waits for `wait_until_stored`: an instance that
resumes from it does not repeat these epochs, and so would not write their records.
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
    """Stores and logs the records of one job's epochs and progress.

    A record that still cannot be stored after the retries is logged, and the training continues. While the store is
    unavailable, later records are not retried.
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
        self._last_stored: Future[None] | None = None  # each thread works in order, so the last one is completed last
        self._last_logged: Future[None] | None = None
        self._unavailable = False

    def add(self, record: EpochRecord) -> None:
        """Store and log an epoch in the background."""
        self._last_stored = self._storing.submit(self._store_epoch, record)

    def add_progress(self, record: ProgressRecord) -> None:
        """Store and log progress in the background."""
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
        with suppress(RegistryError):  # progress is only for display
            key = progress_key(self._job, *record.key)
            create_with_retries(self._store, key, written(record), pauses=(), pause=self._pause)
        self._log("progress", asdict(record))

    def _store_epoch(self, record: EpochRecord) -> None:
        try:
            pauses = () if self._unavailable else self._pauses
            key = epoch_key(self._job, record.epoch)
            # The record exists if an earlier instance was stopped between this epoch and its checkpoint.
            create_with_retries(self._store, key, written(record), pauses=pauses, pause=self._pause)
            self._unavailable = False
        except SpecMalformed as error:  # a malformed record would be a problem in every listing
            self._log(NOT_STORED, {"epoch": record.epoch, "message": str(error)})
        except RegistryError as error:
            self._unavailable = True
            self._log(NOT_STORED, {"epoch": record.epoch, "message": str(error)})
        self._log("epoch", asdict(record))

    def _log(self, event: str, facts: Mapping[str, object]) -> None:
        self._last_logged = self._logging.submit(self._report, event, facts)
