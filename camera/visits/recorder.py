"""The only writer to the spool: makes the picture that may be kept, then commits the event."""

import io
import logging
import queue
import threading
from dataclasses import dataclass

from PIL import Image

from camera.delivery.spool import Spool
from camera.event import Event
from camera.telemetry import AgentMetrics
from camera.timing import Clock
from camera.visits.privacy import Blur, Detector, kept_picture

logger = logging.getLogger(__name__)

_QUEUE = 64
"""Length of the queue; beyond it cameras wait and skip frames."""


@dataclass(frozen=True, kw_only=True)
class Unblurred:
    """An event with its unblurred frame, which is never stored."""

    event: Event
    photo: bytes


class Recorder:
    """One thread for all cameras, because face detection takes longer than a frame may wait."""

    def __init__(self, spool: Spool, *, blur: Blur, detector: Detector, clock: Clock, metrics: AgentMetrics) -> None:
        self._spool = spool
        self._blur = blur
        self._detector = detector
        self._clock = clock
        self._metrics = metrics
        self._searching = threading.Lock()
        self._queue: queue.Queue[Unblurred | None] = queue.Queue(_QUEUE)

    def record(self, unblurred: Unblurred) -> None:
        """Queue an event; blocks while the queue is full."""
        self._queue.put(unblurred)

    def run(self) -> None:
        """Record until `finish`, including everything queued before it."""
        while (unblurred := self._queue.get()) is not None:
            try:
                self._write(unblurred)
            except Exception:  # a full disk or a broken picture: the next event may succeed
                self._metrics.unrecorded.labels(unblurred.event.camera).inc()
                logger.exception("event not recorded", extra={"camera": unblurred.event.camera})

    def finish(self) -> None:
        """No more events will be queued."""
        self._queue.put(None)

    def kept(self, photo: bytes) -> bytes:
        """Returns the picture of a photo that may be kept or shown."""
        with self._searching, Image.open(io.BytesIO(photo)) as image:
            return kept_picture(image, blur=self._blur, detector=self._detector)

    def _write(self, unblurred: Unblurred) -> None:
        event = unblurred.event
        self._spool.add(event, self.kept(unblurred.photo), now=self._clock.wall())
        self._metrics.events.labels(event.camera, event.kind, event.label).inc()
        logger.info("visit %s", event.kind, extra={"camera": event.camera, "label": event.label, "visit": event.visit})
