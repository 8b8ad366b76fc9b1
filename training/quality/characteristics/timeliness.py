"""Timeliness: how old the photos of each camera are, at a stated moment. A camera that fell silent shows here."""

from collections import defaultdict
from datetime import datetime
from statistics import median
from typing import Final

from training.dataset.manifest import Manifest
from training.dataset.splits.split import camera_of
from training.quality.findings import Characteristic, Name, Table

_SECONDS: Final = 86_400
_UNKNOWN: Final = "(unknown camera)"


def timeliness(manifest: Manifest, *, as_of: datetime) -> Characteristic:
    """Returns the age of each camera's newest and median photo, in days.

    `captured_at` is the camera's wall clock and `as_of` is taken in UTC: half a day of doubt, where limits are in days.
    """
    moment = as_of.replace(tzinfo=None)
    ages: dict[str, list[float]] = defaultdict(list)
    for photo in manifest.photos:
        if photo.captured_at is not None:
            age = (moment - datetime.fromisoformat(photo.captured_at)).total_seconds() / _SECONDS
            ages[camera_of(photo) or _UNKNOWN].append(age)
    if not ages:
        return Characteristic(name=Name.TIMELINESS, summary="No photo has a time.")
    newest = {camera: min(each) for camera, each in ages.items()}
    oldest = max(newest, key=lambda camera: newest[camera])
    rows = sorted(
        ((camera, round(newest[camera], 1), round(median(each), 1)) for camera, each in ages.items()),
        key=lambda row: -row[1],
    )
    return Characteristic(
        name=Name.TIMELINESS,
        summary=f"As of {as_of:%Y-%m-%d %H:%M} UTC the newest photo is {min(newest.values()):.0f} days old; "
        f"silent longest is {oldest}, for {newest[oldest]:.0f} days.",
        measures={"days": max(0.0, round(newest[oldest], 3))},
        tables=(Table(caption="Age of photos, in days", columns=("camera", "newest", "median"), rows=tuple(rows)),),
    )
