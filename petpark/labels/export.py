"""Labelled photos as candidates for ingestion. petpark keeps only thumbnails; the user provides the originals."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from petpark.errors import FileInTheWay, LabelsRefused
from petpark.files import create_file

if TYPE_CHECKING:
    from monitoring.late_labels.true_accuracy import LabelledSample

LABELS_FILE: Final = "labels.jsonl"
INDEX_FILE: Final = "index.csv"
_ANOTHER: Final = "Name another folder: --out FOLDER"
_THUMBNAIL_SIDE: Final = 96
_MOST_PIXELS: Final = 500_000_000


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A photo with a decided label."""

    id: str | None
    item: int
    camera: str
    at: str
    label: str
    version: int
    answer: str
    """Predicted class."""
    people: int
    """People who labelled it."""

    @property
    def name(self) -> str | None:
        """File name of the original, without suffix; None if ids are not recorded."""
        if self.id is None:
            return None
        return self.id if self.item == 0 else f"{self.id}-{self.item}"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written."""

    labels: Path
    candidates: int
    index: Path | None
    """None if no originals were provided."""
    indexed: int
    missing: Sequence[str]
    """Names of candidates without an original."""
    refused: Mapping[str, str]
    """Files that were refused as originals, with the reason."""


def candidates(samples: Sequence[LabelledSample], *, neither: str | None) -> list[Candidate]:
    """Return photos with a decided label; those of no class get the label `neither`, or are excluded if it is None."""
    from monitoring.late_labels.records import Answer
    from monitoring.late_labels.true_accuracy import State

    found: list[Candidate] = []
    for sample in samples:
        for number, photo, truth in sample.truths():
            if truth.state is not State.SETTLED or truth.answer is None:
                continue
            label = neither if truth.answer.answer is Answer.NEITHER else truth.answer.label
            if label is None:
                continue
            stratum = sample.sample.strata[photo.stratum]
            found.append(
                Candidate(
                    id=photo.id,
                    item=photo.item,
                    camera=stratum.camera,
                    at=photo.at,
                    label=label,
                    version=stratum.version,
                    answer=stratum.label,
                    people=len(sample.given[number]),
                )
            )
    return found


def export(found: Sequence[Candidate], folder: Path, *, photos: Path | None) -> Exported:
    """Write labels, and an index of the originals in `photos`, into a folder that is made, or has neither file.

    An original is called by the request id of its answer, in a batch `<id>-<item>`, with any suffix.
    Raises LabelsRefused, FileInTheWay.
    """
    if not found:
        raise LabelsRefused("No photo has a decided label yet.", next_step="Label photos: petpark labels page")
    lines = "".join(json.dumps(_facts(each), ensure_ascii=False) + "\n" for each in found)
    if photos is None:
        _write(folder, {LABELS_FILE: lines})
        return Exported(
            labels=folder / LABELS_FILE, candidates=len(found), index=None, indexed=0, missing=(), refused={}
        )
    from training.dataset.sources.source import printable

    files = _originals(photos)
    rows, missing, refused = list[tuple[str, Candidate]](), list[str](), dict[str, str]()
    for each in found:
        match files.get(each.name or "", ()):
            case []:
                missing.append(each.name or "(id not recorded)")
            case [path]:
                key = path.relative_to(photos).as_posix()
                if problem := _problem(path, key):
                    refused[printable(key)] = problem
                else:
                    rows.append((key, each))
            case several:
                names = ", ".join(path.relative_to(photos).as_posix() for path in several)
                refused[printable(names)] = "several files have this id; which is the original is unknown"
    _write(folder, {LABELS_FILE: lines, INDEX_FILE: _csv(rows)})
    return Exported(
        labels=folder / LABELS_FILE,
        candidates=len(found),
        index=folder / INDEX_FILE,
        indexed=len(rows),
        missing=missing,
        refused=refused,
    )


def _facts(candidate: Candidate) -> Mapping[str, Any]:
    names = ("id", "item", "camera", "at", "label", "version", "answer", "people")
    return {name: getattr(candidate, name) for name in names}


def _originals(photos: Path) -> Mapping[str, Sequence[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(photos.rglob("*")):
        if path.is_file():
            found.setdefault(path.stem, []).append(path)
    return found


def _problem(path: Path, key: str) -> str:
    """Why a file is not an original; empty if it may be one."""
    import imaging
    from training.dataset.sources.source import MAX_BYTES, bad_name, too_large

    if (wrong := bad_name(key)) is not None:
        return wrong
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            return too_large(size)
        width, height = imaging.photo_size(path.read_bytes(), max_pixels=_MOST_PIXELS)
    except (imaging.PhotoError, OSError) as error:
        return str(error)
    if max(width, height) <= _THUMBNAIL_SIDE:
        return f"{width} × {height} pixels: a thumbnail, not the original"
    return ""


def _csv(rows: Sequence[tuple[str, Candidate]]) -> str:
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n")
    # No time: `at` is the endpoint's, and a dataset's `captured_at` is the camera's own clock.
    write.writerow(("key", "label", "camera"))
    write.writerows(_row(key, each) for key, each in rows)
    return out.getvalue()


def _row(key: str, candidate: Candidate) -> tuple[str, str, str]:
    # Callers without a camera name cannot be used to group photos.
    camera = "" if candidate.camera.startswith("caller.") else candidate.camera
    return key, candidate.label, camera


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write all the files or, on an error, none: what is left would be in the way of the next try."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileInTheWay(f"{folder} cannot be made: {error.strerror}.", next_step=_ANOTHER) from error
    written: list[Path] = []
    try:
        for name, text in files.items():
            create_file(text, folder / name, next_step=_ANOTHER)
            written.append(folder / name)
    except FileInTheWay:
        for path in written:
            path.unlink(missing_ok=True)
        raise
