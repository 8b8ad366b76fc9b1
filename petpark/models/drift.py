"""Recorded predictions of cameras, compared with the references of the versions that made them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from petpark.errors import ReferenceUnfit
from petpark.files import create_file
from petpark.models import model_versions
from petpark.targets.target import Target
from registry.layout.model_store import blob_key
from registry.layout.roles import Role

if TYPE_CHECKING:
    from monitoring.accuracy import Estimate
    from monitoring.drift import Examined
    from monitoring.predictions import Predictions, Reads
    from monitoring.traffic import Traffic
    from monitoring.windows import Window
    from registry.versions.reference import Reference

_HOUR: Final = 3600

type FindReference = Callable[[int, str], Reference | None]
"""Reference of a version, by number and digest; None if it has none."""


@dataclass(frozen=True, kw_only=True)
class WindowOfCamera:
    """One window: whole hours of a camera and a version."""

    version: int
    digest: str
    start: datetime
    hours: int
    ids: Sequence[str | None]  # of its photos; None if ids are not recorded
    examined: Examined
    accuracy: Estimate

    @property
    def strange(self) -> list[str]:
        """Ids of the unusual photos, the most unusual first."""
        return [found for place in self.examined.strange if (found := self.ids[place]) is not None]


@dataclass(frozen=True, kw_only=True)
class DriftOfCamera:
    """The findings for one camera."""

    camera: str
    photos: int  # recorded
    hourly: Sequence[int]  # of these, per hour from start to end, the current hour included
    windows: Sequence[WindowOfCamera]
    alarms: Sequence[tuple[datetime, datetime]]  # begin and end of the hours
    traffic: Traffic | None  # of the last hours; None: too few days were read
    without_reference: Sequence[int]  # versions that predicted here and have no reference

    @property
    def drifted(self) -> bool:
        """Whether anything drifted, or photos are missing."""
        return bool(self.alarms) or (self.traffic is not None and self.traffic.missing)

    @property
    def silent(self) -> bool:
        """Whether nothing was recorded in the period."""
        return self.photos == 0


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A local copy of a data lake's recorded predictions: files in a directory, named by their keys."""

    path: Path

    def get(self, key: str) -> bytes:
        """Returns the content of one file."""
        return (self.path / key).read_bytes()

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Yields the keys with this prefix after `after`, ascending."""
        below = self.path / prefix.rpartition("/")[0]
        names = (each.relative_to(self.path).as_posix() for each in below.rglob("*.parquet"))
        yield from sorted(name for name in names if name.startswith(prefix) and name > after)


def examine(
    reads: Reads, stack: str, *, cameras: Sequence[str], start: datetime, end: datetime, reference_of: FindReference
) -> Iterator[DriftOfCamera]:
    """Returns the findings for cameras of a stack from `start` to `end`.

    Raises `PredictionsUnreadable`, `ReferenceUnfit`.
    """
    from monitoring.predictions import read

    for camera in cameras:
        yield _of_camera(camera, read(reads, stack, camera, start=start, end=end), start, end, reference_of)


def recorded_cameras(reads: Reads, stack: str) -> list[str]:
    """Returns the cameras with recorded predictions."""
    from monitoring.predictions import cameras

    return cameras(reads, stack)


def lake(target: Target) -> Reads:
    """Returns the data lake of a target, for reading recorded predictions."""
    return target.store(target.outputs.data_lake, role=Role.PUBLISHER)


def version_reference(target: Target, number: int, digest: str) -> Reference | None:
    """Returns the verified reference of a version, or None if it has none. Raises the registry's errors."""
    from registry.encoding import sha256_hex
    from registry.errors import DigestMismatch, FileCorrupted
    from registry.versions.reference import REFERENCE_FILE, Reference

    version = model_versions.version(target, number)
    if version.digest != digest:
        raise DigestMismatch(version.title, expected=digest, actual=version.digest)
    stored = version.file(REFERENCE_FILE)
    if stored is None:
        return None
    store = target.store(target.outputs.model_store, role=Role.READER)
    data = store.get(blob_key(version.model, stored.sha256))
    if (actual := sha256_hex(data)) != stored.sha256:
        raise FileCorrupted(REFERENCE_FILE, expected=f"sha256 {stored.sha256}", actual=f"sha256 {actual}")
    return Reference.from_bytes(data)


def read_reference(path: Path) -> Reference:
    """Returns the reference in a file. Raises `ReferenceUnfit`, or the registry's `ReferenceMalformed`."""
    from registry.versions.reference import MOST_BYTES, Reference

    try:
        with path.open("rb") as file:
            return Reference.from_bytes(file.read(MOST_BYTES + 1))
    except OSError as error:
        raise ReferenceUnfit(
            f"{path} cannot be read: {error.strerror}.", next_step="Name a file that --save-reference wrote."
        ) from error


def save_reference(
    reads: Reads, stack: str, *, camera: str, start: datetime, end: datetime, reference_of: FindReference, path: Path
) -> int:
    """Write a camera's records as its own reference. Returns the number of photos. Raises `ReferenceUnfit`."""
    from monitoring.drift import as_reference
    from monitoring.predictions import read
    from monitoring.windows import FEWEST_PHOTOS

    found = read(reads, stack, camera, start=start, end=end)
    if len(found) != 1:
        raise ReferenceUnfit(
            f"{len(found)} versions were served at camera {camera} in this period; a reference needs exactly one.",
            next_step="Choose a period with only one version: --from TIME --to TIME",
        )
    known = reference_of(found[0].version, found[0].digest)
    if known is None or len(found[0]) < FEWEST_PHOTOS:
        why = "has no reference" if known is None else f"classified {len(found[0])} photos, fewer than {FEWEST_PHOTOS}"
        raise ReferenceUnfit(
            f"Version {found[0].version} {why}.", next_step="Train a version, or choose a longer time."
        )
    made = _fitting(lambda: as_reference(known, _window(found[0])))
    create_file(made.to_bytes(), path)
    return len(made)


def _of_camera(
    camera: str, recorded: Sequence[Predictions], start: datetime, end: datetime, reference_of: FindReference
) -> DriftOfCamera:
    from monitoring.windows import alarms

    windows: list[WindowOfCamera] = []
    without: list[int] = []
    for predictions in recorded:
        reference = reference_of(predictions.version, predictions.digest)
        if reference is None:
            without.append(predictions.version)
        else:
            windows += _fitting(lambda each=predictions, known=reference: list(_windows(each, known, end)))
    windows.sort(key=lambda each: (each.start, each.version))
    spans = alarms([bool(each.examined.drifted) for each in windows])
    return DriftOfCamera(
        camera=camera,
        photos=sum(map(len, recorded)),
        hourly=_hourly(recorded, start, end),
        windows=windows,
        alarms=[(windows[first].start, windows[last].start + _hours(windows[last].hours)) for first, last in spans],
        traffic=_traffic(recorded, end),
        without_reference=without,
    )


def _windows(predictions: Predictions, reference: Reference, end: datetime) -> Iterator[WindowOfCamera]:
    from monitoring.accuracy import estimate_accuracy
    from monitoring.drift import Detector
    from monitoring.windows import FEWEST_PHOTOS, spans, thinned

    if predictions.labels != reference.labels:
        raise ValueError(f"the classes {', '.join(predictions.labels)}, not {', '.join(reference.labels)}")
    detector, whole, kept = Detector(reference=reference), _window(predictions), thinned(predictions.seconds)
    for span in spans(predictions.seconds[kept], until=end.timestamp()):
        places = kept[span.indices]
        if len(places) < FEWEST_PHOTOS:
            continue
        window = whole.take(places)
        yield WindowOfCamera(
            version=predictions.version,
            digest=predictions.digest,
            start=datetime.fromtimestamp(span.first * _HOUR, UTC),
            hours=span.hours,
            ids=[predictions.ids[place] for place in places.tolist()],
            examined=detector.examine(window),
            accuracy=estimate_accuracy(reference, window.probabilities, window.strangeness),
        )


def _window(predictions: Predictions) -> Window:
    from imaging import INPUT_STATISTICS
    from monitoring.windows import Window

    return Window(
        probabilities=predictions.probabilities,
        statistic_names=INPUT_STATISTICS,
        statistics=predictions.statistics,
        strangeness=predictions.strangeness,
        embedding=predictions.embedding,
    )


def _hourly(recorded: Sequence[Predictions], start: datetime, end: datetime) -> list[int]:
    first, last = int(start.timestamp() // _HOUR), math.ceil(end.timestamp() / _HOUR)
    counts = [0] * (last - first)
    for predictions in recorded:
        for second in predictions.seconds.tolist():
            counts[int(second // _HOUR) - first] += 1
    return counts


def _traffic(recorded: Sequence[Predictions], end: datetime) -> Traffic | None:
    """Traffic of the last whole hour against the hours before it, from the first hour with records."""
    import numpy as np

    from monitoring.traffic import watch_traffic

    hours = np.concatenate([np.empty(0), *(each.seconds // _HOUR for each in recorded)]).astype(np.int64)
    over = int(end.timestamp() // _HOUR)
    hours = hours[hours < over]
    return watch_traffic(np.bincount(hours - hours.min(), minlength=over - hours.min())) if len(hours) else None


def _fitting(work: Callable[[], Any]) -> Any:
    """Turns monitoring's errors about arrays that do not match into `ReferenceUnfit`."""
    try:
        return work()
    except ValueError as error:
        raise ReferenceUnfit(
            f"The recorded predictions cannot be compared with the reference: {error}.",
            next_step="Use the reference of the version that made them.",
        ) from error


def _hours(count: int) -> timedelta:
    return timedelta(hours=count)
