"""One camera: a reading thread, a classifying thread, and their shared state."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from camera.backoff import Backoff
from camera.capture.mailbox import Mailbox
from camera.capture.sampling import HEIGHT, WIDTH, Sampler
from camera.capture.source import READ_SECONDS, WHOLE_SECONDS, Frame, SourceEnded, SourceLost, frames, scheme_of
from camera.classifier import Answer, Classifier, NoAnswer, photo_of
from camera.settings import CameraSettings
from camera.telemetry import AgentMetrics
from camera.timing import Clock, FrameTimes, Stamp
from camera.visits.recorder import Recorder
from camera.visits.visitor_log import Snapshot, VisitorLog

logger = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_STEADY_SECONDS = 10.0
"""A connection that lasted this many seconds resets the backoff."""
_SILENT_SECONDS = READ_SECONDS + WHOLE_SECONDS
"""A camera without an undamaged frame for this many seconds is not live; the source itself fails earlier."""
_TICK = 0.5
_RECENT = 512
_FATES: tuple[str, ...] = ("received", "damaged", "still", "replaced", "classified", "unanswered")

type Play = Callable[[str, threading.Event], Generator[Frame | None]]


class State(StrEnum):
    """State of a camera."""

    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A frame to classify."""

    image: VideoFrame
    arrived: float
    decoded: float
    stamp: Stamp
    moving: bool


class Camera:
    """Reads frames, classifies them and tracks visits. `read` and `classify` each run in their own thread."""

    def __init__(
        self,
        settings: CameraSettings,
        *,
        classifier: Classifier,
        recorder: Recorder,
        clock: Clock,
        metrics: AgentMetrics,
        tolerance: float,
        play: Play = frames,
        source: random.Random | None = None,
    ) -> None:
        self.settings = settings
        self._state = State.CONNECTING
        self._reason = ""
        self._whole_at = 0.0
        self.counts = dict.fromkeys(_FATES, 0)
        self._unanswered = False
        self.last: Shot | None = None
        self.seconds: deque[float] = deque(maxlen=_RECENT)
        self.log = VisitorLog(settings, recorder=recorder)
        self._photo: bytes | None = None
        self._classifier = classifier
        self._recorder = recorder
        self._clock = clock
        self._metrics = metrics
        self._tolerance = tolerance
        self._play = play
        self._mailbox: Mailbox[Shot] = Mailbox()
        self._sampler = Sampler(per_second=settings.per_second, still_seconds=settings.still_seconds)
        self._backoff = Backoff(first=_FIRST_WAIT, most=_LONGEST_WAIT, source=source or random.Random())  # noqa: S311 - spreads waits
        self._pause_until = 0.0

    @property
    def state(self) -> State:
        """The camera's state. Live requires recent frames, because FFmpeg may block the reading thread."""
        return State.LOST if self._silent() else self._state

    @property
    def reason(self) -> str:
        """Why it is not live."""
        return f"no whole frame for {_SILENT_SECONDS:.0f} s" if self._silent() else self._reason

    def _silent(self) -> bool:
        if self._state is not State.LIVE or not scheme_of(self.settings.url):
            return False  # a file is played at its own pace, however slow
        return self._clock.monotonic() - self._whole_at >= _SILENT_SECONDS

    # --- reading ---------------------------------------------------------------------------------------------------

    def read(self, stop: threading.Event) -> None:
        """Connect, read and reconnect, until stopped or until a file ends."""
        while not stop.is_set():
            began = self._clock.monotonic()
            try:
                self._read_once(stop)
                break
            except SourceEnded:
                self._become(State.ENDED, "the file was played to its end")
                break
            except SourceLost as error:
                self._lost(str(error), began)
            except Exception as error:  # any decoder error: the next connection may work
                logger.exception("reading failed", extra={"camera": self.settings.name})
                self._lost(f"reading failed: {type(error).__name__}", began)
            stop.wait(self._backoff.failed())
            self._become(State.CONNECTING, self._reason)
        self._mailbox.close()

    def _read_once(self, stop: threading.Event) -> None:
        times = FrameTimes(tolerance=self._tolerance)
        for frame in self._play(self.settings.url, stop):
            if frame is not None and not frame.damaged:
                self._whole_at = self._clock.monotonic()
                if self._state is not State.LIVE:
                    self._become(State.LIVE, "")
            self._take(frame, times)

    def _take(self, frame: Frame | None, times: FrameTimes) -> None:
        if frame is None or frame.damaged:
            self._count("damaged")
            return
        self._count("received")
        arrived = self._clock.monotonic()
        stamp = times.stamp(position=frame.position, camera=frame.camera, wall=self._clock.wall(), monotonic=arrived)
        self._watch_clocks(stamp)
        if not self._sampler.due(arrived):
            return
        luma = np.asarray(frame.image.reformat(width=WIDTH, height=HEIGHT, format="gray8").to_ndarray(), np.uint8)
        verdict = self._sampler.judge(luma, arrived)
        if not verdict.classify:
            self._count("still")
            return
        shot = Shot(image=frame.image, arrived=arrived, decoded=time.perf_counter(), stamp=stamp, moving=verdict.moving)
        if self._mailbox.put(shot):
            self._count("replaced")

    def _watch_clocks(self, stamp: Stamp) -> None:
        name = self.settings.name
        if stamp.skew is not None:
            self._metrics.skew.labels(name).set(stamp.skew)
            if abs(stamp.skew) > self._tolerance:
                self._metrics.skewed.labels(name, "camera").inc()
        if stamp.stream_jumped:
            self._metrics.skewed.labels(name, "stream").inc()
        if stamp.machine_jumped:
            self._metrics.skewed.labels(name, "machine").inc()

    def _lost(self, reason: str, began: float) -> None:
        self._metrics.losses.labels(self.settings.name).inc()
        if self._clock.monotonic() - began >= _STEADY_SECONDS:
            self._backoff.succeeded()
        if self._state is State.LIVE or reason != self._reason:
            logger.warning("camera lost", extra={"camera": self.settings.name, "reason": reason})
        self._become(State.LOST, reason)

    def _become(self, state: State, reason: str) -> None:
        if state is State.LIVE:
            logger.info("camera live", extra={"camera": self.settings.name})
        self._state, self._reason = state, reason

    # --- classifying -----------------------------------------------------------------------------------------------

    def classify(self, stop: threading.Event) -> None:
        """Classify the newest frame repeatedly, until stopped or until the last frame of a file."""
        while not stop.is_set():
            shot = self._mailbox.take(_TICK)
            if shot is not None:
                self._classify(shot)
            elif self._state is State.ENDED:
                break
            self.log.elapse(self._clock.monotonic())
        self.log.close()

    def _classify(self, shot: Shot) -> None:
        if shot.arrived < self._pause_until:
            self._count("unanswered")
            return
        try:
            photo = photo_of(shot.image)
            answer = self._classifier.classify(photo)
        except NoAnswer as error:
            self._count("unanswered")
            if not self._unanswered:
                reason = {"camera": self.settings.name, "reason": str(error)}
                logger.warning("endpoint unreachable; dropping frames", extra=reason)
            self._unanswered = True
            self._pause_until = self._clock.monotonic() + error.pause
            return
        except Exception:  # a frame that cannot be encoded as JPEG: skip it
            logger.exception("frame not classified", extra={"camera": self.settings.name})
            self._count("unanswered")
            return
        if self._unanswered:
            logger.info("endpoint reachable again", extra={"camera": self.settings.name})
        self._unanswered = False
        seconds = time.perf_counter() - shot.decoded
        self.seconds.append(seconds)
        self._metrics.answer_seconds.labels(self.settings.name).observe(seconds)
        self._count("classified")
        self.last, self._photo = shot, photo
        self.log.take(_snapshot(shot, photo, answer), answer.probabilities)

    def _count(self, fate: str) -> None:
        self.counts[fate] += 1
        self._metrics.frames.labels(self.settings.name, fate).inc()

    # --- reporting -------------------------------------------------------------------------------------------------

    def thumbnail(self) -> bytes | None:
        """Returns the last classified frame, with people hidden."""
        photo = self._photo
        return None if photo is None else self._recorder.kept(photo)

    def latency(self) -> Mapping[str, Any]:
        """Returns the latency from frame to prediction of the last few hundred predictions, in milliseconds."""
        seconds = sorted(self.seconds.copy())
        if not seconds:
            return {"answers": 0, "p50": None, "p99": None}
        at = [seconds[min(len(seconds) - 1, int(share * len(seconds)))] for share in (0.5, 0.99)]
        return {"answers": len(seconds), "p50": round(at[0] * 1000, 2), "p99": round(at[1] * 1000, 2)}


def _snapshot(shot: Shot, photo: bytes, answer: Answer) -> Snapshot:
    return Snapshot(
        photo=photo,
        arrived=shot.arrived,
        taken=shot.stamp.at,
        clock=shot.stamp.source,
        moving=shot.moving,
        model=answer.model,
    )
