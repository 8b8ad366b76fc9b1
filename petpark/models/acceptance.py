"""Acceptance test of a version or an endpoint on a folder of the user's photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Final

from petpark.models.subjects import Subject

if TYPE_CHECKING:
    from training.dataset.index import Index, Row
    from training.evaluation.acceptance import Acceptance, Claim
    from training.evaluation.baseline.copies import Grid
    from training.evaluation.baseline.seen_photos import LearnedPhotos, Overlap

_AT_ONCE: Final = 64


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The tested subject and its results."""

    what: str
    found: Acceptance
    claim: Claim | None
    """The accuracy in the version's report; None if unknown."""
    left_out: Mapping[str, Overlap] | None
    """Photos that the version was trained on, in these or other bytes; None if unknown."""
    unknown: str
    """Why claim or left-out photos are not known; empty if they are."""
    skipped: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class _Photo:
    """A photo of the folder: its label, its perceptual hash, and the prediction."""

    key: str
    row: Row
    sha256: str
    perceptual_hash: str
    brightness: float
    captured_at: str | None
    small: Grid | None
    answer: str


def answer_folder(
    folder: Path, subject: Subject, *, index: Index | None, progress: Callable[[int, int], None]
) -> Tested:
    """Returns the predictions for every photo of `folder`, labelled by one subfolder per class, or by `index`.

    Each subfolder of a class folder is a group. Raises training's `DatasetRefused`.
    """
    from training.dataset.sources import FolderSource
    from training.dataset.sources.source import SkippedFile, Unreadable
    from training.errors import DatasetRefused
    from training.evaluation.acceptance import Answered, measure

    source = FolderSource(folder)
    total, done = source.count() or 0, 0
    photos: list[_Photo] = []
    skipped: list[tuple[str, str]] = []
    for some in batched(source, _AT_ONCE, strict=False):
        taken: list[tuple[str, Row, bytes]] = []
        for found in some:
            row = found.reason if isinstance(found, SkippedFile) else _row(found.key, index)
            try:
                if isinstance(found, SkippedFile) or isinstance(row, str):
                    skipped += [(found.key, str(row))] if row else []
                    continue
                data = found.read()
            except Unreadable as error:
                skipped.append((found.key, str(error)))
                continue
            if row.label not in subject.labels:
                raise DatasetRefused(
                    f"{found.key} shows {row.label!r}, which {subject.what} does not know; it knows: "
                    f"{', '.join(subject.labels)}. Rename the folder, or take it out"
                )
            taken.append((found.key, row, data))
        answered, unread = _answer_some(taken, subject)
        photos += answered
        skipped += [(key, "no readable photo") for key in unread]
        done += len(some)
        progress(done, total)
    left_out = None if subject.known is None else _left_out(photos, subject.known)
    tested = [
        Answered(key=photo.key, truth=photo.row.label, answer=photo.answer, groups=_groups(photo.row))
        for photo in photos
        if photo.key not in (left_out or ())
    ]
    if not tested:
        first = f": {skipped[0][0]}, {skipped[0][1]}" if skipped else ""
        raise DatasetRefused(
            f"no photo in {folder} is left to test on ({len(left_out or ())} that it was trained on, {len(skipped)} "
            f"skipped{first}); give a folder with one subfolder of photos for each class"
        )
    return Tested(
        what=subject.what,
        found=measure(tested),
        claim=subject.claim,
        left_out=left_out,
        unknown=subject.unknown,
        skipped=skipped,
    )


def _answer_some(taken: Sequence[tuple[str, Row, bytes]], subject: Subject) -> tuple[list[_Photo], list[str]]:
    """Returns the photos with predictions, and the keys of unreadable ones."""
    from imaging import PhotoError, measure
    from registry.encoding import sha256_hex
    from training.evaluation.baseline.copies import grid

    labels = subject.answer([data for _, _, data in taken])
    photos: list[_Photo] = []
    for (key, row, data), label in zip(taken, labels, strict=True):
        if label is None:
            continue
        try:  # hashed only if there is a dataset to compare with
            looks = measure(data) if subject.known else None
            small = grid(data) if subject.known else None
        except PhotoError:  # an endpoint may read what this machine cannot
            looks, small = None, None
        photos.append(
            _Photo(
                key=key,
                row=row,
                sha256=sha256_hex(data),
                perceptual_hash=f"{looks.perceptual_hash if looks else 0:016x}",
                brightness=looks.brightness if looks else 0.0,
                captured_at=row.captured_at or (looks.captured_at if looks else None),
                small=small,
                answer=label,
            )
        )
    return photos, [key for (key, _, _), label in zip(taken, labels, strict=True) if label is None]


def _left_out(photos: Sequence[_Photo], known: LearnedPhotos) -> dict[str, Overlap]:
    """Returns the photos of the folder that the version was trained on, by key."""

    def small(place: int) -> Grid:
        found = photos[place].small
        assert found is not None  # noqa: S101 - an unreadable photo has a plain hash, which is similar to no other
        return found

    overlaps = known.overlaps(photos, small)
    return {photo.key: overlap for photo, overlap in zip(photos, overlaps, strict=True) if overlap}


def _row(key: str, index: Index | None) -> Row | str:
    """A file's label and groups; else why it is skipped, empty if it is not a photo."""
    from training.dataset.index import Row
    from training.dataset.labels import clean_label

    if index is not None:
        return index.rows.get(key) or index.refused.get(key) or "not in the index"
    label, _, rest = key.partition("/")
    if not rest:
        return ""
    try:
        label = clean_label(label)
    except ValueError as error:
        return str(error)
    below, slash, _ = rest.rpartition("/")
    return Row(label=label, camera=None, captured_at=None, groups=(("subfolder", below),) if slash else ())


def _groups(row: Row) -> dict[str, str]:
    groups = dict(row.groups)
    if row.camera:
        groups["camera"] = row.camera
    if row.captured_at:
        groups["hour"] = f"{row.captured_at[11:13]} h"
    return groups
