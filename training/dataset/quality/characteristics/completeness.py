"""Completeness: which classes, cameras, hours and days there are, and which are missing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from training.dataset.manifest import Manifest, Photo
from training.dataset.quality.findings import Cell, Characteristic, Concern, Finding, Name, finding, share, table
from training.dataset.splits.split import camera_of

_DAY: Final = 24
_WEEK: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NAMED: Final = 8


def completeness(manifest: Manifest) -> Characteristic:
    """Count a dataset by what is known of its photos, and name the gaps."""
    photos = manifest.photos
    classes = Counter(photo.label for photo in photos)
    cameras = Counter(camera for photo in photos if (camera := camera_of(photo)) is not None)
    times = [datetime.fromisoformat(photo.captured_at) for photo in photos if photo.captured_at is not None]
    hours = Counter(time.hour for time in times)
    no_camera = [photo for photo in photos if camera_of(photo) is None]
    no_time = [photo for photo in photos if photo.captured_at is None]
    gaps = list(_gaps(photos, cameras, hours, times))
    rarest = min(classes, key=lambda label: classes[label])
    return Characteristic(
        name=Name.COMPLETENESS,
        summary=f"{len(classes)} classes, {len(cameras) or 'no known'} cameras"
        + (f", {len(hours)} of 24 hours" if times else ", no known times")
        + f"; fewest photos are of “{rarest}”, {classes[rarest]:,} of {len(photos):,}.",
        measures={
            "rarest_class": round(classes[rarest] * len(classes) / len(photos), 6),
            "hours": float(len(hours)),
            "without_camera": share(len(no_camera), len(photos)),
            "without_time": share(len(no_time), len(photos)),
        },
        # Where nothing is known of any photo it is a fact about the source, and no photo is to blame.
        findings=(
            *(() if len(no_camera) == len(photos) else _unknown("without_camera", "camera", no_camera)),
            *(() if len(no_time) == len(photos) else _unknown("without_time", "time", no_time)),
        ),
        tables=(
            *table("What is missing", ("gap", "where"), gaps),
            *table("Classes", ("class", "photos"), sorted(classes.items())),
            *table("Cameras", ("camera", "photos"), sorted(cameras.items())),
            *table(
                "Hours of the day", ("hour", "photos"), [(f"{n:02}", hours[n]) for n in range(_DAY)] if hours else ()
            ),
            *table("Days of the week", ("day", "photos"), _weekdays(times)),
        ),
    )


def _gaps(
    photos: Sequence[Photo], cameras: Counter[str], hours: Counter[int], times: Sequence[datetime]
) -> Iterable[tuple[str, str]]:
    missing = [f"{hour:02}" for hour in range(_DAY) if not hours[hour]]
    if times and missing:
        yield "hours of the day that no camera saw", ", ".join(missing)
    days = {time.date() for time in times}
    if days and (silent := _between(days)):
        more = f" and {len(silent) - _NAMED} more" if len(silent) > _NAMED else ""
        yield "days without a photo, between the first and the last", ", ".join(map(str, silent[:_NAMED])) + more
    seen = {(camera_of(photo), photo.label) for photo in photos}
    for label in sorted({photo.label for photo in photos}):
        if never := sorted(camera for camera in cameras if (camera, label) not in seen):
            more = f" and {len(never) - _NAMED} more" if len(never) > _NAMED else ""
            yield f"cameras that never saw “{label}”", ", ".join(never[:_NAMED]) + more


def _between(days: set[date]) -> list[date]:
    first, last = min(days), max(days)
    every = (first + timedelta(days=n) for n in range((last - first).days))
    return [day for day in every if day not in days]


def _weekdays(times: Sequence[datetime]) -> list[tuple[Cell, ...]]:
    found = Counter(time.weekday() for time in times)
    return [(name, found[number]) for number, name in enumerate(_WEEK)] if times else []


def _unknown(name: str, what: str, photos: Sequence[Photo]) -> tuple[Finding, ...]:
    concerns = [
        Concern(key=photo.key, sha256=photo.sha256, label=photo.label, why=f"no {what} is known") for photo in photos
    ]
    says = f"Give their {what} in an index (petpark data ingest --index), or leave them out."
    return finding(name, f"Of unknown {what}", says, concerns)
