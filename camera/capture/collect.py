"""Frames without visitors from the park's own cameras, as photos of a class `background` to train with.

A frame counts as one while nothing has moved for some time. Frames in which the detectors find a face or a number plate
are not written at all: a photo for training is as large as the frame, so nothing stands behind the search here.
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
"""Beside the folder: the rows of the frames for an index of photos."""

_COLUMNS: Final = ("key", "label", "camera", "captured_at")
_EXIF_TAKEN: Final = 0x9003  # DateTimeOriginal
_EXIF: Final = 0x8769
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
_TICK: Final = 0.2


class FolderUnusable(Exception):
    """Frames cannot be written; the message says where and why."""


type Play = Callable[[str, threading.Event], Generator[Frame | None]]


@dataclass(frozen=True, kw_only=True)
class CollectionPlan:
    """What is collected."""

    folder: Path
    """Gets `background/<camera>-<time>.jpg` and the rows of an index."""
    count: int = 50
    """Of each camera."""
    every_seconds: float = 600.0
    """At least so long between two frames of a camera: a day's light makes them differ."""
    still_seconds: float = 30.0
    """Nothing moved for so long before a frame."""


@dataclass(kw_only=True)
class Collected:
    """What became of one camera's frames."""

    written: int = 0
    with_people: int = 0
    """Left out: a face or a number plate was found, or the search failed."""
    losses: int = 0
    """Times that the camera was lost."""


class Folder:
    """Where frames go; one for all cameras, in any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def add(self, camera: str, photo: bytes, taken: float) -> None:
        """Write a photo whole or not at all, then its row. Raises `FolderUnusable`."""
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
        """Whether there are enough."""
        return self.collected.written >= self._plan.count

    def run(self, stop: threading.Event) -> None:
        """Collect until there are enough, a file ends, or `stop` is set. A lost camera is tried again."""
        while not (self.done or stop.is_set()):
            self._still_since = None  # what happened while it was lost is unknown
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
    """Collect from all cameras side by side, until done or Ctrl-C; what became of each. Raises `FolderUnusable`."""
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
            stop.wait(_TICK)  # a signal ends a short wait, and no join
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
    except Exception:  # whatever a decoder fails on ends one camera; the others go on
        logger.exception("camera given up", extra={"camera": collector.camera.name})


def _with_time(image: Image.Image, taken: float) -> bytes:
    """Returns when it was taken, which ingestion reads; no other metadata."""
    exif = Image.Exif()
    exif.get_ifd(_EXIF)[_EXIF_TAKEN] = moment(taken).astimezone().strftime("%Y:%m:%d %H:%M:%S")
    file = io.BytesIO()
    image.save(file, "JPEG", quality="keep", exif=exif)
    return file.getvalue()
