"""Records a sample of the predictions within a fixed bound of memory, without delaying requests.

A request appends an observation to a queue, or counts it as lost if the memory is full. One thread of the lowest
priority makes rows of observations, and files of rows; another uploads the files. Under load both are slower, and
predictions that they cannot keep up with are lost.
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
"""Maximum number of cameras of one instance with their own files."""

_FLUSH_SECONDS: Final = 300.0
"""Age of the oldest row in seconds at which a file is written."""
_LATE_SECONDS: Final = 10.0
"""Seconds after the end of an hour in which its last rows still arrive."""
_PARTS: Final = 8
"""A file is written when its rows take this part of the bound. Writing needs three such parts."""
_WRITING: Final = 3
_LARGEST_PART: Final = 4_000_000
"""Maximum size of a file in one request: multipart uploads lack `If-None-Match`, and the role may not use them."""
_LOOK_SECONDS: Final = 0.2
_IDLE_SECONDS: Final = 1.0
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_NICE: Final = 15

type LossReason = Literal["memory", "unreadable", "unwritable", "shutdown"]


class Creates(Protocol):
    """The part of ObjectStore that the recorder needs."""

    def create(self, key: str, body: bytes) -> None:
        """See ObjectStore."""
        ...


@dataclass(kw_only=True, slots=True)
class _Open:
    """Rows of one partition that are not in a file yet."""

    since: float
    rows: list[Row] = field(default_factory=list[Row])
    held: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    key: str
    body: bytes
    rows: int


class RecorderMetrics:
    """Prometheus metrics of recorded predictions."""

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
        """Returns whether the prediction for the `item`-th photo, counted from 0, is in the sample."""
        return self.recorder.wants(self.request_id, item)

    def record(
        self,
        photo: bytes | None,
        found: Prediction,
        *,
        model: LoadedModel,
        entry: int,
        arm: str | None = None,
        item: int = 0,
    ) -> None:
        """Queue a sampled prediction; `photo` is None for a tensor."""
        self.recorder.record(
            Observation(
                at=self.recorder.now(),
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
        """`instance`: the instance's name; a suffix per process is added."""
        self.policy = policy
        self._maker = RowMaker(
            policy=policy, stack=stack, channel=channel, instance=f"{instance}-{secrets.token_hex(4)}"
        )
        self._store = store
        self._clock = clock
        self._part = min(policy.buffer_mb * 1_000_000 // _PARTS, _LARGEST_PART)
        self.limit = policy.buffer_mb * 1_000_000 - _WRITING * self._part
        """Maximum bytes of observations, rows and files together. The rest is for writing a file."""
        self.held = 0
        """Bytes that they take now. Guarded by the lock."""
        self.lost = 0
        """Number of sampled predictions that were lost, since the start of the process. Guarded by the lock."""
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

    def now(self) -> float:
        """Returns the time of the recorder's clock, in seconds since the epoch."""
        return self._clock()

    def wants(self, request_id: str, item: int = 0) -> bool:
        """Returns whether a prediction is in the sample."""
        return self.policy.samples(request_id, item)

    def camera(self, named: str | None, caller: Caller) -> str:
        """Returns the camera of a prediction: the one that the request names, or the caller's class."""
        camera = camera_of(named)
        if camera is None:
            return CallerClass.OPEN if caller.key is None else CallerClass.KEY
        if camera not in self._cameras:
            if len(self._cameras) >= CAMERAS:
                return CallerClass.OTHER
            self._cameras.add(camera)
        return camera

    def record(self, seen: Observation) -> None:
        """Queue a prediction, or count it as lost if the memory is full. Wakes no thread."""
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
        """Make rows of the queued observations."""
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
        """Write files of old rows and of past hours; of all rows if they take too much memory."""
        now = self._clock()
        everything = everything or sum(rows.held for rows in self._open.values()) > self.limit // 2
        for partition, rows in list(self._open.items()):
            due = now - rows.since >= _FLUSH_SECONDS or now >= partition.end.timestamp() + _LATE_SECONDS
            if everything or due:
                self._write(partition)

    def upload(self) -> float | None:
        """Upload the oldest file. Returns the seconds to wait before the next call, or None if there is no file."""
        if not self._files:
            return None
        file = self._files[0]
        try:
            self._store.create(file.key, file.body)
        except ObjectExists:
            pass  # the response to an earlier attempt was lost: no other process writes this key
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
        """Number of files that are not stored yet."""
        return len(self._files)

    # --- threads -----------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Record until `stop`, then store the rest. Runs in its own thread and starts another one for uploads."""
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
        """Upload until no new file can come; then until none is left, or an upload fails."""
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
        """Count the predictions that are not stored as lost, at the end of the process. Returns their number."""
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

    def _lose(self, predictions: int, reason: LossReason) -> None:
        with self._lock:
            self.lost += predictions
        self.metrics.lost.labels(reason).inc(predictions)


@contextlib.contextmanager
def _logged() -> Generator[None]:
    """Logs any error; recording continues."""
    try:
        yield
    except Exception:
        logger.exception("recording predictions failed")


def _lower_priority() -> None:
    """Linux has a priority for each thread, by its id: https://man7.org/linux/man-pages/man2/setpriority.2.html"""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
