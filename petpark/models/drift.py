"""Recorded predictions of cameras, compared with the references of the versions that answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from petpark.errors import FileInTheWay, ReferenceUnfit
from petpark.models import model_versions
from petpark.targets.target import Target
from registry.layout import Role, blob_key

if TYPE_CHECKING:
    from monitoring.accuracy import Estimate
    from monitoring.drift import Examined
    from monitoring.predictions import Predictions, Reads
    from monitoring.traffic import Traffic
    from monitoring.windows import Window
    from registry.versions.reference import Reference

_HOUR: Final = 3600

type FindReference = Callable[[int, str], Reference | None]
"""The reference of a version, by number and digest; None: it has none."""


@dataclass(frozen=True, kw_only=True)
class WindowOfCamera:
    """One window: whole hours of a camera and a version."""

    version: int
    start: datetime
    hours: int
    ids: Sequence[str | None]  # of its photos; None where ids are not recorded
    examined: Examined
    accuracy: Estimate

    @property
    def strange(self) -> list[str]:
        """Ids of the strange photos, the strangest first."""
        return [found for place in self.examined.strange if (found := self.ids[place]) is not None]


@dataclass(frozen=True, kw_only=True)
class DriftOfCamera:
    """What was found at one camera."""

    camera: str
    photos: int  # recorded
    windows: Sequence[WindowOfCamera]
    alarms: Sequence[tuple[datetime, datetime]]  # begin and end of the hours
    traffic: Traffic | None  # of the last hours; None: too few days were read
    without_reference: Sequence[int]  # versions that answered here, and have none

    @property
    def drifted(self) -> bool:
        """Whether anything drifted, or photos are missing."""
        return bool(self.alarms) or (self.traffic is not None and self.traffic.missing)


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A local copy of a data lake's recorded predictions: files below a directory, named by their keys."""

    path: Path

    def get(self, key: str) -> bytes:
        """Read one file."""
        return (self.path / key).read_bytes()

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """List the keys with this prefix behind `after`, ascending."""
        below = self.path / prefix.rpartition("/")[0]
        names = (each.relative_to(self.path).as_posix() for each in below.rglob("*.parquet"))
        yield from sorted(name for name in names if name.startswith(prefix) and name > after)


def examine(
    reads: Reads, stack: str, *, cameras: Sequence[str], start: datetime, end: datetime, reference_of: FindReference
) -> Iterator[DriftOfCamera]:
    """Examine what cameras of a stack recorded from `start` to `end`. PredictionsUnreadable, ReferenceUnfit."""
    from monitoring.predictions import read

    for camera in cameras:
        yield _of_camera(camera, read(reads, stack, camera, start=start, end=end), end, reference_of)


def recorded_cameras(reads: Reads, stack: str) -> list[str]:
    """Name the cameras of which anything is recorded."""
    from monitoring.predictions import cameras

    return cameras(reads, stack)


def lake(target: Target) -> Reads:
    """Open the data lake of a target, to read what is recorded."""
    return target.store(target.outputs.data_lake, role=Role.PUBLISHER)


def version_reference(target: Target, number: int, digest: str) -> Reference | None:
    """Read the reference of a version, verified; None if it has none. Raises the registry's errors."""
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
    """Read a reference from a file; ReferenceUnfit, or the registry's ReferenceMalformed."""
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
    """Write what a camera recorded as its own reference; returns the number of its photos. ReferenceUnfit."""
    from monitoring.drift import as_reference
    from monitoring.predictions import read
    from monitoring.windows import FEWEST_PHOTOS

    found = read(reads, stack, camera, start=start, end=end)
    if len(found) != 1:
        raise ReferenceUnfit(
            f"{len(found)} versions answered at camera {camera} in this time; a reference needs exactly one.",
            next_step="Choose a time in which one version answered: --from TIME --to TIME",
        )
    known = reference_of(found[0].version, found[0].digest)
    if known is None or len(found[0]) < FEWEST_PHOTOS:
        why = "has no reference" if known is None else f"answered {len(found[0])} photos, fewer than {FEWEST_PHOTOS}"
        raise ReferenceUnfit(
            f"Version {found[0].version} {why}.", next_step="Train a version, or choose a longer time."
        )
    made = _fitting(lambda: as_reference(known, _window(found[0])))
    try:
        with path.open("xb") as file:
            file.write(made.to_bytes())
    except OSError as error:
        raise FileInTheWay(f"{path} cannot be written: {error.strerror}.", next_step="Choose another name.") from error
    return len(made)


def _of_camera(
    camera: str, recorded: Sequence[Predictions], end: datetime, reference_of: FindReference
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
        places = kept[span.places]
        if len(places) < FEWEST_PHOTOS:
            continue
        window = whole.take(places)
        yield WindowOfCamera(
            version=predictions.version,
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


def _traffic(recorded: Sequence[Predictions], end: datetime) -> Traffic | None:
    """Watch the hours before the last whole one, from the first hour that has anything."""
    import numpy as np

    from monitoring.traffic import watch_traffic

    hours = np.concatenate([np.empty(0), *(each.seconds // _HOUR for each in recorded)]).astype(np.int64)
    over = int(end.timestamp() // _HOUR)
    hours = hours[hours < over]
    return watch_traffic(np.bincount(hours - hours.min(), minlength=over - hours.min())) if len(hours) else None


def _fitting(work: Callable[[], Any]) -> Any:
    """Turn what monitoring says of arrays that do not fit each other into ReferenceUnfit."""
    try:
        return work()
    except ValueError as error:
        raise ReferenceUnfit(
            f"The recorded predictions cannot be compared with the reference: {error}.",
            next_step="Use the reference of the version that answered.",
        ) from error


def _hours(count: int) -> timedelta:
    return timedelta(hours=count)
