"""Dataset versions in the data lake: new ones, which there are, and which one a prefix of its hash means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.errors import NotImplementedYet
from petpark.target import Target
from registry import layout

if TYPE_CHECKING:
    from registry.object_store import ObjectStore
    from training.dataset import Ingestion


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """One dataset: how many photos, by label and by split."""

    sha256: str
    photos: int
    labels: Mapping[str, int]
    splits: Mapping[str, int]


def ingest(target: Target, source: str, *, seed: int, progress: Callable[[int, int], None]) -> Ingestion:
    """Put the photos of the folder `source` (a subfolder per class) into the data lake; raises `DatasetRefused`."""
    from training.dataset import ingest as ingest_folder

    if source.startswith("s3://"):
        raise NotImplementedYet(
            f"Photos are taken from a folder only, not from {source}.",
            next_step=f"aws s3 sync {source} photos, then: petpark data ingest photos",
        )
    return ingest_folder(Path(source), _lake(target), seed=seed, progress=progress)


def summaries(target: Target) -> list[DatasetSummary]:
    """All datasets of the data lake, by hash."""
    from training.dataset import load_manifest
    from training.dataset.manifest import list_datasets

    store = _lake(target)
    found: list[DatasetSummary] = []
    for sha256 in list_datasets(store):
        photos = load_manifest(store, sha256).photos
        found.append(
            DatasetSummary(
                sha256=sha256,
                photos=len(photos),
                labels=dict(sorted(Counter(photo.label for photo in photos).items())),
                splits=dict(sorted(Counter(str(photo.split) for photo in photos).items())),
            )
        )
    return found


def resolve(target: Target, prefix: str) -> str:
    """The one dataset whose hash begins with `prefix`; raises training's `DatasetMissing`."""
    from training.dataset import load_manifest

    return load_manifest(_lake(target), prefix.removeprefix("sha256:")).sha256


def _lake(target: Target) -> ObjectStore:
    return target.store(target.outputs.data_lake, role=layout.Role.PUBLISHER)
