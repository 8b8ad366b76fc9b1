"""Records a sample of the predictions within a fixed bound of memory, and never in a request's way.

A request appends an observation to a queue, or counts it as lost where the memory is full. One thread of the lowest
priority makes rows of observations, and files of rows; another uploads the files. Both are slower under load, and what
they do not keep up with is lost, not waited for.
"""

import contextlib
import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from prometheus_client import Counter as Counted
from prometheus_client import Gauge

from registry.errors import ObjectExists, RegistryError
from registry.telemetry import CallerClass, HourPartition, TelemetryPolicy, camera_of
from serving.auth.api_key_auth import Caller
from serving.inference.loaded_model import LoadedModel, Prediction
from serving.recording.observation import Observation, Row, RowMaker
from serving.recording.parquet import to_parquet
from serving.telemetry import Metrics

logger = logging.getLogger(__name__)

CAMERAS: Final = 64
"""Cameras that one instance keeps apart: each has files of its own."""

_FLUSH_SECONDS: Final = 300.0
"""Age of the oldest row at which a file is written."""
_LATE_SECONDS: Final = 10.0
"""Time after the end of an hour in which its last rows still arrive."""
_PARTS: Final = 8
"""A file is written at the latest when its rows take this part of the bound. Writing takes three such parts."""
_WRITING: Final = 3
_LARGEST_PART: Final = 4_000_000
"""So that a file is sent in one piece: the endpoint's role may not upload in parts, which bear no `If-None-Match`."""
_LOOK_SECONDS: Final = 0.2
_IDLE_SECONDS: Final = 1.0
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_NICE: Final = 15

type Lost = Literal["memory", "unreadable", "unwritable", "shutdown"]


class Creates(Protocol):
    """What the recorder needs of an ObjectStore."""

    def create(self, key: str, body: bytes) -> None:
        """See ObjectStore."""
        ...


@dataclass(kw_only=True, slots=True)
class _Open:
    """Rows of one partition that are in no file yet."""

    since: float
    rows: list[Row] = field(default_factory=list[Row])
    held: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    key: str
    body: bytes
    rows: int


class RecorderMetrics:
    """What Prometheus reads about recorded predictions."""

    def __init__(self, metrics: Metrics, recorder: "Recorder") -> None:
        at = metrics.registry
        self.recorded = Counted("petpark_telemetry_recorded", "Predictions handed over for recording", registry=at)
        self.uploaded = Counted("petpark_telemetry_uploaded", "Recorded predictions that are stored", registry=at)
        self.lost = Counted(
            "petpark_telemetry_lost", "Predictions sampled and not stored, by reason", ("reason",), registry=at
        )
        self.failures = Counted(
            "petpark_telemetry_upload_failures", "Uploads that failed and are repeated", ("outcome",), registry=at
        )
        Gauge("petpark_telemetry_held_bytes", "Memory of records not stored yet", registry=at).set_function(
            lambda: recorder.held
        )


@dataclass(kw_only=True, slots=True)
class RequestRecording:
    """Records the predictions of one request."""

    recorder: "Recorder"
    request_id: str
    camera: str
    began: float
    """When the request's header lines were read, by `time.perf_counter`."""

    def wants(self, item: int) -> bool:
        """Whether the prediction about the `item`-th photo, counted from 0, is in the sample."""
        return self.recorder.wants(self.request_id, item)

    def record(
        self, photo: bytes, found: Prediction, *, model: LoadedModel, entry: int, arm: str | None = None, item: int = 0
    ) -> None:
        """Hand over a prediction that is in the sample."""
        self.recorder.record(
            Observation(
                at=time.time(),
                request_id=self.request_id,
                item=item,
                camera=self.camera,
                model=model,
                entry=entry,
                arm=arm,
                found=found,
                photo=photo,
                latency=time.perf_counter() - self.began,
            )
        )


class Recorder:
    """`wants` and `record` for requests; `run` for a thread; `take`, `write` and `upload` are its steps, for tests."""

    def __init__(
        self,
        policy: TelemetryPolicy,
        store: Creates,
        *,
        stack: str,
        channel: str,
        instance: str,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`instance`: the machine's name; digits of this process are added."""
        self.policy = policy
        self._maker = RowMaker(
            policy=policy, stack=stack, channel=channel, instance=f"{instance}-{secrets.token_hex(4)}"
        )
        self._store = store
        self._clock = clock
        self._part = min(policy.buffer_mb * 1_000_000 // _PARTS, _LARGEST_PART)
        self.limit = policy.buffer_mb * 1_000_000 - _WRITING * self._part
        """What observations, rows and files may take together, in bytes. The rest is for writing a file."""
        self.held = 0
        """What they take now. Guarded by the lock."""
        self._lock = threading.Lock()
        self._seen: deque[Observation] = deque()
        self._open: dict[HourPartition, _Open] = {}
        self._files: deque[_File] = deque()
        self._ended = threading.Event()
        """No further file will be written."""
        self._sequence = 0
        self._cameras: set[str] = set()
        self._wait = _FIRST_WAIT
        self.metrics = RecorderMetrics(metrics, self)

    # --- for requests ------------------------------------------------------------------------------------------------

    def wants(self, request_id: str, item: int = 0) -> bool:
        """Whether a prediction is in the sample."""
        return self.policy.samples(request_id, item)

    def camera(self, named: str | None, caller: Caller) -> str:
        """Returns what a prediction is recorded under: the camera that the request names, or the caller's class."""
        camera = camera_of(named)
        if camera is None:
            return CallerClass.OPEN if caller.key is None else CallerClass.KEY
        if camera not in self._cameras:
            if len(self._cameras) >= CAMERAS:
                return CallerClass.OTHER
            self._cameras.add(camera)
        return camera

    def record(self, seen: Observation) -> None:
        """Hand over a prediction; counted as lost where the memory is full. Wakes no thread."""
        size = seen.bytes_held
        with self._lock:
            fits = self.held + size <= self.limit
            if fits:
                self.held += size
        if fits:
            self._seen.append(seen)
        else:
            self._lose(1, "memory")

    # --- rows and files ----------------------------------------------------------------------------------------------

    def take(self) -> None:
        """Make rows of the observations that are there."""
        for _ in range(len(self._seen)):
            seen = self._seen.popleft()
            try:
                row, partition = self._maker.row(seen), self._maker.partition(seen)
            except Exception:
                self._lose(1, "unreadable")
                raise
            finally:
                self._hold(-seen.bytes_held)
            rows = self._open.setdefault(partition, _Open(since=self._clock()))
            rows.rows.append(row)
            rows.held += row.bytes_held
            self._hold(row.bytes_held)
            self.metrics.recorded.inc()
            if rows.held >= self._part:
                self._write(partition)

    def write(self, *, everything: bool = False) -> None:
        """Make files of the rows that are old, or of an hour that is over; of all rows where they take too much."""
        now = self._clock()
        everything = everything or sum(rows.held for rows in self._open.values()) > self.limit // 2
        for partition, rows in list(self._open.items()):
            due = now - rows.since >= _FLUSH_SECONDS or now >= partition.end.timestamp() + _LATE_SECONDS
            if everything or due:
                self._write(partition)

    def upload(self) -> float | None:
        """Upload the oldest file; returns the seconds to wait before the next call, None where there is no file."""
        if not self._files:
            return None
        file = self._files[0]
        try:
            self._store.create(file.key, file.body)
        except ObjectExists:
            pass  # the response to an earlier try was lost: nobody else writes this key
        except RegistryError as error:
            self.metrics.failures.labels(error.outcome).inc()
            if self._wait == _FIRST_WAIT:
                logger.warning("cannot upload recorded predictions; keeping them", extra={"reason": str(error)})
            wait, self._wait = self._wait, min(2 * self._wait, _LONGEST_WAIT)
            return wait
        self._wait = _FIRST_WAIT
        self._files.popleft()
        self._hold(-len(file.body))
        self.metrics.uploaded.inc(file.rows)
        return 0.0

    @property
    def waiting_files(self) -> int:
        """Files that are not stored yet."""
        return len(self._files)

    # --- threads -----------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Record until `stop`, then store what is there. For a thread of its own; it starts another for uploads."""
        _lower_priority()
        uploads = threading.Thread(target=self._upload_all, name="telemetry-upload", daemon=True)
        uploads.start()
        while not stop.wait(_LOOK_SECONDS):
            with _logged():
                self.take()
                self.write()
        with _logged():
            self.take()
        with _logged():
            self.write(everything=True)
        self._ended.set()
        uploads.join()
        self.count_rest()

    def _upload_all(self) -> None:
        """Upload until no file can follow; then until none is left, or an upload fails."""
        _lower_priority()
        while True:
            last = self._ended.is_set()
            wait: float | None = _IDLE_SECONDS
            with _logged():
                wait = self.upload()
            if wait != 0.0 and last:
                return
            if wait != 0.0:
                self._ended.wait(_IDLE_SECONDS if wait is None else wait)

    def count_rest(self) -> int:
        """Count what is not stored as lost, at the end of the process; returns how many predictions that were."""
        left = len(self._seen) + sum(len(rows.rows) for rows in list(self._open.values()))
        left += sum(file.rows for file in list(self._files))
        if left:
            self._lose(left, "shutdown")
            logger.warning("recorded predictions lost at the end of the process", extra={"predictions": left})
        return left

    # --- inside ------------------------------------------------------------------------------------------------------

    def _write(self, partition: HourPartition) -> None:
        rows = self._open.pop(partition)
        try:
            body = to_parquet(rows.rows)
            self._hold(len(body))
        except Exception:
            self._lose(len(rows.rows), "unwritable")
            raise
        finally:
            self._hold(-rows.held)
        self._sequence += 1
        key = partition.key(self._maker.instance, self._sequence)
        self._files.append(_File(key=key, body=body, rows=len(rows.rows)))

    def _hold(self, size: int) -> None:
        with self._lock:
            self.held += size

    def _lose(self, predictions: int, reason: Lost) -> None:
        self.metrics.lost.labels(reason).inc(predictions)


@contextlib.contextmanager
def _logged() -> Generator[None]:
    """Log whatever goes wrong: recording goes on, and nobody waits for it."""
    try:
        yield
    except Exception:
        logger.exception("recording predictions failed")


def _lower_priority() -> None:
    """Linux has a priority for each thread, by its id: https://man7.org/linux/man-pages/man2/setpriority.2.html"""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
