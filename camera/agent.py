"""Starts and stops cameras, recorder and forwarder, in the order of their dependencies."""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from camera.capture.camera import Camera, State
from camera.classifier import Classifier, KeyFile
from camera.delivery.forward import Creates, Forwarder
from camera.delivery.spool import Spool
from camera.settings import AgentSettings
from camera.telemetry import AgentMetrics
from camera.timing import Clock, SystemClock, moment
from camera.visits.privacy import Blur, Cascades, Detector
from camera.visits.recorder import Recorder
from registry.masking import shown_address

logger = logging.getLogger(__name__)

STOP_SECONDS = 45.0
"""Seconds to stop. Less than TimeoutStopSec in `docs/petpark-camera.service`, after which systemd kills it."""


class Agent:
    """A running agent. Its state is the spool: after SIGKILL it continues from the disk."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        store: Creates | None,
        clock: Clock | None = None,
        detector: Detector | None = None,
        connect: Callable[[AgentSettings, str], Classifier] | None = None,
    ) -> None:
        """Raises `SpoolInUse`, `SpoolUnusable`."""
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        self._stop_forwarding = threading.Event()
        self.settings = settings
        self.metrics = AgentMetrics()
        self.spool = Spool(Path(settings.home), max_bytes=settings.spool_bytes)
        self.recorder = Recorder(
            self.spool,
            blur=Blur(settings.blur),
            detector=detector or Cascades(),
            clock=self._clock,
            metrics=self.metrics,
        )
        self.forwarder = Forwarder(
            self.spool,
            store,
            to=settings.data_lake,
            retention_hours=settings.retention_hours,
            clock=self._clock,
            metrics=self.metrics,
        )
        self._classifiers = [(connect or _connect)(settings, camera.name) for camera in settings.cameras]
        self.cameras = tuple(
            Camera(
                camera,
                classifier=classifier,
                recorder=self.recorder,
                clock=self._clock,
                metrics=self.metrics,
                tolerance=settings.skew_seconds,
            )
            for camera, classifier in zip(settings.cameras, self._classifiers, strict=True)
        )
        self._classifying: list[threading.Thread] = []
        self._ending: threading.Thread | None = None
        self._recording = threading.Thread(target=self.recorder.run, name="recorder", daemon=True)
        self._forwarding = threading.Thread(
            target=self.forwarder.run, args=(self._stop_forwarding,), name="forwarder", daemon=True
        )

    def start(self) -> None:
        """Start every thread."""
        self._recording.start()
        self._forwarding.start()
        for camera in self.cameras:
            self._thread(f"{camera.settings.name}-read", camera.read, self._stop)
            self._classifying.append(self._thread(f"{camera.settings.name}-classify", camera.classify, self._stop))

    def done(self) -> bool:
        """Whether every source is a file that was played to its end."""
        return bool(self._classifying) and not any(thread.is_alive() for thread in self._classifying)

    def stop(self, *, timeout: float = STOP_SECONDS) -> bool:
        """End active visits, record them and upload what can be uploaded now; other events stay in the spool.

        Returns False after `timeout` seconds. Stopping then continues, and the spool stays open and locked until it is
        done or the process ends.
        """
        self._stop.set()
        if self._ending is None:
            self._ending = threading.Thread(target=self._end, name="end", daemon=True)
            self._ending.start()
        self._ending.join(timeout)
        if self._ending.is_alive():
            logger.warning("still stopping; events not yet written to disk may be lost")
            return False
        return True

    def _end(self) -> None:
        """Join each thread before its dependency is closed: cameras write to the recorder, all others to the spool.

        No join has a timeout: it could close the spool while an event is written.
        """
        for thread in self._classifying:
            thread.join()
        self.recorder.finish()
        self._recording.join()
        self._stop_forwarding.set()
        self._forwarding.join()
        try:
            if self.forwarder.link.last_error is None:
                self.forwarder.step()
        except Exception:  # events that were not uploaded stay in the spool
            logger.exception("cannot forward")
        self.spool.close()
        for classifier in self._classifiers:
            classifier.close()

    def to_dict(self) -> dict[str, Any]:
        """Returns the response of `/v1/cameras`, without secrets. Raises `SpoolClosed` after the end."""
        link = self.forwarder.link
        midnight = moment(self._clock.wall()).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        today = self.spool.begun(since=midnight.timestamp())
        facts = {
            "endpoint": shown_address(self.settings.endpoint),
            "cameras": [_facts(camera, today.get(camera.settings.name, 0)) for camera in self.cameras],
            "spool": self.spool.counts().to_dict(),
            "forwarding": {
                "to": link.to,
                "last_success": None if link.last_success is None else moment(link.last_success).isoformat(),
                "last_error": link.last_error,
            },
        }
        return cast("dict[str, Any]", self.settings.secrets.hide_in(facts))

    def measure(self) -> bytes:
        """Returns the metrics, with the spool's current content. Raises `SpoolClosed` after the end."""
        counts = self.spool.counts()
        for camera in self.cameras:
            self.metrics.connected.labels(camera.settings.name).set(camera.state is State.LIVE)
        self.metrics.waiting.set(counts.waiting)
        self.metrics.spool_bytes.set(counts.bytes)
        self.metrics.evicted.set(counts.evicted)
        return self.metrics.text()

    def _thread(self, name: str, target: Callable[[threading.Event], None], stop: threading.Event) -> threading.Thread:
        thread = threading.Thread(target=target, args=(stop,), name=name, daemon=True)
        thread.start()
        return thread


def _connect(settings: AgentSettings, camera: str) -> Classifier:
    key = None if settings.api_key_file is None else KeyFile(settings.api_key_file)
    return Classifier(settings.endpoint, camera=camera, key=key, answer_seconds=settings.answer_seconds)


def _facts(camera: Camera, visits_today: int) -> Mapping[str, Any]:
    last = camera.last
    name = camera.settings.name
    return {
        "name": name,
        "url": shown_address(camera.settings.url),
        "state": camera.state.value,
        "reason": camera.reason if camera.state is not State.LIVE else "",
        "frames": dict(camera.counts),
        "last_frame": None
        if last is None
        else {
            "taken_at": moment(last.stamp.at).isoformat(),
            "clock": last.stamp.source.value,
            "skew_seconds": None if last.stamp.skew is None else round(last.stamp.skew, 3),
            "thumbnail": f"/v1/cameras/{name}/thumbnail.jpg",
        },
        "visiting": list(camera.log.visiting),
        "visits": camera.log.visits,
        "visits_today": visits_today,
        "latency_milliseconds": dict(camera.latency()),
    }
