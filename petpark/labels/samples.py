"""Draws samples of recorded predictions to label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from petpark.errors import LabelsRefused
from petpark.targets.target import Target
from registry.clock import Clock, utc_now
from registry.encoding import format_time
from registry.errors import ObjectExists, ObjectMissing
from registry.layout.data_lake import sample_key
from registry.layout.roles import Role

if TYPE_CHECKING:
    from monitoring.late_labels.records import Sample, SampledPhoto, Stratum
    from monitoring.predictions import Recorded
    from registry.store.object_store import ObjectStore

MOST: Final = 2000
"""Maximum number of photos in a sample: about three hours of labelling."""

_HOUR: Final = timedelta(hours=1)
_WEEK: Final = timedelta(days=7)


def last_week(now: datetime) -> tuple[datetime, datetime]:
    """Return the beginning and the end of the last whole week, from Monday to Monday, UTC."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = day - timedelta(days=day.weekday())
    return monday - _WEEK, monday


def lake(target: Target) -> ObjectStore:
    """Open the data lake as the certifier, who reads recorded predictions and adds labels."""
    return target.store(target.outputs.data_lake, role=Role.CERTIFIER)


def draw(
    target: Target,
    stack: str,
    *,
    start: datetime,
    end: datetime,
    count: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
    clock: Clock = utc_now,
) -> Sample:
    """Draw `count` photos of what a stack recorded in the whole hours from `start` to `end`, and store the sample.

    Every stratum gives at least one photo, so there may be more. Raises LabelsRefused, PredictionsUnreadable.
    """
    from monitoring.late_labels.records import sample_id
    from monitoring.predictions import cameras, each_recorded

    start, end = (each.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for each in (start, end))
    if end - start < _HOUR:
        raise LabelsRefused("The period has no whole hour.", next_step="Choose a longer one: --from TIME --to TIME")
    store, name = lake(target), sample_id(start, end)
    _refuse_overlap(store, stack, name)
    with_thumbnail: list[Recorded] = []
    without = Counter[str]()
    named = cameras(store, stack)
    for place, camera in enumerate(named, start=1):
        for each in each_recorded(store, stack, camera, start=start, end=end):
            if each.has_thumbnail:
                with_thumbnail.append(each)
            else:
                without[camera] += 1
        progress(place, len(named))
    if not with_thumbnail:
        raise LabelsRefused(
            f"No recorded prediction of stack {stack} in the whole hours from {start:%Y-%m-%d %H:%M} to "
            f"{end:%Y-%m-%d %H:%M} UTC has a thumbnail ({without.total():,} have none).",
            next_step="Name cameras in petpark:telemetry_thumbnails of the stack's YAML, or choose another period.",
        )
    sample = _drawn(
        with_thumbnail,
        name,
        stack=stack,
        count=count,
        seed=seed,
        by=target.identity(role=Role.CERTIFIER),
        at=format_time(clock()),
        without=without.total(),
    )
    try:
        store.create(sample_key(stack, name), sample.to_bytes())
    except ObjectExists:
        raise _exists(name) from None
    return sample


def read(target: Target, stack: str, sample: str | None) -> Sample:
    """Read a sample; None: the newest. Raises LabelsRefused, LabelRecordMalformed."""
    from monitoring.late_labels.records import read_sample, sample_ids

    store = lake(target)
    if sample is None:
        names = sample_ids(store, stack)
        if not names:
            raise LabelsRefused(f"Stack {stack} has no sample.", next_step=f"petpark labels sample --stack {stack}")
        sample = names[-1]
    try:
        return read_sample(store, stack, sample)
    except ObjectMissing:
        names = sample_ids(store, stack)
        draw_one = f"petpark labels sample --stack {stack}"
        raise LabelsRefused(
            f"Stack {stack} has no sample {sample!r}.",
            next_step=f"Choose one of these: {', '.join(names)}" if names else draw_one,
        ) from None


def _refuse_overlap(store: ObjectStore, stack: str, name: str) -> None:
    from monitoring.late_labels.records import hours_of, sample_ids

    first, after = hours_of(name)
    for other in sample_ids(store, stack):
        others_first, others_after = hours_of(other)
        if first < others_after and others_first < after:
            raise _exists(other)


def _exists(name: str) -> LabelsRefused:
    return LabelsRefused(
        f"Sample {name} already covers this period; overlapping samples would count predictions twice.",
        next_step=f"Label it: petpark labels page --sample {name}. Or choose another period: --from TIME --to TIME",
    )


def _drawn(
    recorded: list[Recorded], name: str, *, stack: str, count: int, seed: int, by: str, at: str, without: int
) -> Sample:
    import numpy as np

    from monitoring.late_labels.estimates import choose_sample
    from monitoring.late_labels.records import Sample

    # Sorted, so that the sample depends on the seed only, not on the order in which cameras are listed.
    recorded = sorted(recorded, key=lambda each: (each.key, each.row))
    strata = [_stratum(each) for each in recorded]
    sizes = Counter(strata)
    numbers = {stratum: place for place, stratum in enumerate(sorted(sizes))}
    confidence = np.array([each.confidence for each in recorded])
    chosen = choose_sample(strata, confidence, count=count, seed=seed)
    classes = dict.fromkeys(label for each in recorded for label in each.labels)
    return Sample(
        id=name,
        stack=stack,
        seed=seed,
        by=by,
        at=at,
        classes=tuple(classes),
        recorded=len(recorded),
        without_thumbnail=without,
        strata=tuple(_stored(stratum, sizes[stratum]) for stratum in sorted(sizes)),
        photos=tuple(
            _photo(recorded[place], numbers[strata[place]], twice=twice)
            for place, twice in zip(chosen.indices.tolist(), chosen.twice.tolist(), strict=True)
        ),
    )


type _Key = tuple[str, str, int, str, int]


def _stratum(recorded: Recorded) -> _Key:
    from monitoring.late_labels.estimates import band

    year, week, _ = recorded.at.astimezone(UTC).isocalendar()
    return (
        f"{year}-W{week:02d}",
        recorded.camera,
        recorded.version,
        recorded.label,
        band(recorded.confidence),
    )


def _stored(key: _Key, size: int) -> Stratum:
    from monitoring.late_labels.records import Stratum

    week, camera, version, label, band = key
    return Stratum(week=week, camera=camera, version=version, label=label, band=band, recorded=size)


def _photo(recorded: Recorded, stratum: int, *, twice: bool) -> SampledPhoto:
    from monitoring.late_labels.records import SampledPhoto

    return SampledPhoto(
        key=recorded.key,
        row=recorded.row,
        id=recorded.id,
        item=recorded.item,
        at=format_time(recorded.at),
        digest=recorded.digest,
        confidence=recorded.confidence,
        stratum=stratum,
        twice=twice,
    )
