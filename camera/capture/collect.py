"""Collects frames without visitors from the park's cameras, as training photos of class `background`.

A frame counts as background if nothing has moved for some time. Frames in which the detectors find a face or a number
plate are not written: training photos have the frame's full size, so a blurred area would not be small enough.
"""

import csv
import io
import logging
import random
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from camera.backoff import Backoff
from camera.capture.sampling import HEIGHT, WIDTH, Motion, Pace
from camera.capture.source import Frame, SourceEnded, SourceLost, frames, quiet_ffmpeg
from camera.classifier import photo_of
from camera.settings import AgentSettings, CameraSettings
from camera.timing import Clock, SystemClock, moment
from camera.visits.privacy import Cascades, Detector, shows_people

logger = logging.getLogger(__name__)

LABEL: Final = "background"
"""Class and folder of the frames; one of `registry.versions.abstention.BACKGROUND`."""

INDEX: Final = "background.csv"
"""Next to the folder: the frames' rows for an index of photos."""

_COLUMNS: Final = ("key", "label", "camera", "captured_at")
_EXIF_TAKEN: Final = 0x9003  # DateTimeOriginal
_EXIF: Final = 0x8769
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
_TICK: Final = 0.2


class FolderUnusable(Exception):
    """Frames cannot be written; the message has the path and the reason."""


type Play = Callable[[str, threading.Event], Generator[Frame | None]]


@dataclass(frozen=True, kw_only=True)
class CollectionPlan:
    """Settings of a collection."""

    folder: Path
    """Output folder, for `background/<camera>-<time>.jpg` and the index rows."""
    count: int = 50
    """Frames per camera."""
    every_seconds: float = 600.0
    """Minimum seconds between two frames of a camera, so that their light differs."""
    still_seconds: float = 30.0
    """Seconds without motion before a frame."""


@dataclass(kw_only=True)
class Collected:
    """Result for one camera."""

    written: int = 0
    with_people: int = 0
    """Skipped: a face or a number plate was found, or the detection failed."""
    losses: int = 0
    """Number of lost connections."""


class Folder:
    """The output folder; shared by all cameras and threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def add(self, camera: str, photo: bytes, taken: float) -> None:
        """Write a photo atomically, then its row. Raises `FolderUnusable`."""
        try:
            with self._lock:
                self._add(camera, photo, moment(taken).astimezone())
        except OSError as error:
            raise FolderUnusable(f"{self._folder}: {error.strerror or error}") from error

    def _add(self, camera: str, photo: bytes, at: datetime) -> None:
        name = f"{camera}-{at.strftime('%Y%m%dT%H%M%S')}{at.microsecond // 1000:03d}.jpg"
        (self._folder / LABEL).mkdir(parents=True, exist_ok=True)
        part = self._folder / LABEL / f".{name}.part"
        part.write_bytes(photo)
        part.replace(self._folder / LABEL / name)
        index = self._folder / INDEX
        rows: list[tuple[str, ...]] = [] if index.exists() else [_COLUMNS]
        rows.append((f"{LABEL}/{name}", LABEL, camera, at.strftime("%Y-%m-%dT%H:%M:%S")))
        with index.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


class Collector:
    """One camera."""

    def __init__(
        self,
        camera: CameraSettings,
        plan: CollectionPlan,
        folder: Folder,
        *,
        detector: Detector,
        clock: Clock,
        play: Play = frames,
        source: random.Random | None = None,
    ) -> None:
        self.camera = camera
        self.collected = Collected()
        self._plan = plan
        self._folder = folder
        self._detector = detector
        self._clock = clock
        self._play = play
        self._backoff = Backoff(first=_FIRST_WAIT, most=_LONGEST_WAIT, source=source or random.Random())  # noqa: S311 - spreads waits
        self._pace = Pace(camera.per_second)
        self._motion = Motion()
        self._still_since: float | None = None
        self._looked: float | None = None

    @property
    def done(self) -> bool:
        """Whether there are enough frames."""
        return self.collected.written >= self._plan.count

    def run(self, stop: threading.Event) -> None:
        """Collect until there are enough frames, a file ends, or `stop` is set. Reconnects after a lost connection."""
        while not (self.done or stop.is_set()):
            self._still_since = None  # motion during the gap is unknown
            try:
                for frame in self._play(self.camera.url, stop):
                    self._backoff.succeeded()
                    self._take(frame)
                    if self.done or stop.is_set():
                        return
            except SourceEnded:
                return
            except SourceLost as error:
                self.collected.losses += 1
                logger.warning("camera lost", extra={"camera": self.camera.name, "reason": str(error)})
                stop.wait(self._backoff.failed())

    def _take(self, frame: Frame | None) -> None:
        now = self._clock.monotonic()
        if frame is None or frame.damaged or not self._pace.due(now):
            return
        luma = np.asarray(frame.image.reformat(width=WIDTH, height=HEIGHT, format="gray8").to_ndarray(), np.uint8)
        if self._motion.moving(luma) or self._still_since is None:
            self._still_since = now
        if now - self._still_since < self._plan.still_seconds:
            return
        if self._looked is not None and now - self._looked < self._plan.every_seconds:
            return
        self._looked = now
        photo = photo_of(frame.image)
        with Image.open(io.BytesIO(photo)) as image:
            image.load()
            if shows_people(image, self._detector):
                self.collected.with_people += 1
                return
            taken = self._clock.wall()
            self._folder.add(self.camera.name, _with_time(image, taken), taken)
        self.collected.written += 1


def collect(
    settings: AgentSettings, plan: CollectionPlan, stop: threading.Event, *, play: Play = frames
) -> Mapping[str, Collected]:
    """Collect from all cameras in parallel, until done or Ctrl-C. Returns the results. Raises `FolderUnusable`."""
    quiet_ffmpeg()
    folder, clock = Folder(plan.folder), SystemClock()
    collectors = [
        Collector(camera, plan, folder, detector=Cascades(), clock=clock, play=play) for camera in settings.cameras
    ]
    failures: list[FolderUnusable] = []
    threads = [
        threading.Thread(target=_run, args=(each, stop, failures), name=each.camera.name, daemon=True)
        for each in collectors
    ]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads) and not failures:
            stop.wait(_TICK)  # a signal interrupts a short wait, but not a join
    except KeyboardInterrupt:
        logger.info("stopping")
    stop.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return {each.camera.name: each.collected for each in collectors}


def _run(collector: Collector, stop: threading.Event, failures: list[FolderUnusable]) -> None:
    try:
        collector.run(stop)
    except FolderUnusable as error:
        failures.append(error)
    except Exception:  # a decoder error stops one camera; the others continue
        logger.exception("camera given up", extra={"camera": collector.camera.name})


def _with_time(image: Image.Image, taken: float) -> bytes:
    """Returns EXIF with only the time of the frame, which ingestion reads."""
    exif = Image.Exif()
    exif.get_ifd(_EXIF)[_EXIF_TAKEN] = moment(taken).astimezone().strftime("%Y:%m:%d %H:%M:%S")
    file = io.BytesIO()
    image.save(file, "JPEG", quality="keep", exif=exif)
    return file.getvalue()
