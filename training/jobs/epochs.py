"""Records of epochs, sent behind the training's back: a slow store or log costs it nothing.

One thread sends them, in the order in which epochs ended. What follows a job reads them in that order.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from typing import Final

from registry.errors import RegistryError
from registry.layout import epoch_key, progress_key
from registry.store.object_store import ObjectStore
from training.errors import SpecMalformed
from training.fitting.retry import PAUSES, create_with_retries
from training.job import EpochRecord, ProgressRecord, written

type Say = Callable[[str, Mapping[str, object]], None]

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
        say: Say,
        pauses: tuple[float, ...] = PAUSES,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._job, self._say = workspace, job, say
        self._pauses, self._pause = pauses, pause
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="epochs")
        self._sending: list[Future[None]] = []
        self._away = False

    def add(self, record: EpochRecord) -> None:
        """Have `record` stored and logged; returns at once."""
        self._sending.append(self._sender.submit(self._send, record))

    def add_progress(self, record: ProgressRecord) -> None:
        """Have it stored and logged; returns at once."""
        self._sending.append(self._sender.submit(self._send_progress, record))

    def settle(self) -> None:
        """Wait until every record was stored or given up."""
        while self._sending:
            self._sending.pop(0).result()

    def _send_progress(self, record: ProgressRecord) -> None:
        with suppress(RegistryError):  # nothing is decided by it
            key = progress_key(self._job, *record.key)
            create_with_retries(self._store, key, written(record), pauses=(), pause=self._pause)
        self._say("progress", asdict(record))

    def _send(self, record: EpochRecord) -> None:
        try:
            pauses = () if self._away else self._pauses
            key = epoch_key(self._job, record.epoch)
            # There already: an earlier machine came as far, but was stopped before its checkpoint.
            create_with_retries(self._store, key, written(record), pauses=pauses, pause=self._pause)
            self._away = False
        except SpecMalformed as error:  # its reader would refuse it, and every listing after that
            self._say(NOT_STORED, {"epoch": record.epoch, "message": str(error)})
        except RegistryError as error:
            self._away = True
            self._say(NOT_STORED, {"epoch": record.epoch, "message": str(error)})
        self._say("epoch", asdict(record))
