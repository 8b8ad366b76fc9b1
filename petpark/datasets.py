"""Dataset versions in the data lake: new ones, which there are, and which one a prefix of its hash means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.target import Target
from registry import layout

if TYPE_CHECKING:
    from registry.object_store import ObjectStore
    from training.dataset import Ingestion
    from training.dataset.changes import Change
    from training.dataset.difference import DatasetDifference
    from training.dataset.distribution import Shift
    from training.dataset.index import Index
    from training.dataset.sources import Source


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """One dataset: how many photos, by label and by split."""

    sha256: str
    photos: int
    labels: Mapping[str, int]
    splits: Mapping[str, int]


def ingest(
    target: Target,
    source: str,
    *,
    seed: int,
    progress: Callable[[int, int], None],
    index: str | None = None,
    split_by: str = "camera",
    base: str | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Ingestion:
    """Put the photos of a folder, of `s3://bucket/prefix` or of a tar archive into the data lake.

    `index` is a file, or an object in S3, that says what the photos show; `base` a dataset whose photos stay where
    they are, and whose relabels and exclusions still hold. Raises training's `DatasetRefused`, `DatasetMissing`.
    """
    from training.dataset import Base, SplitBy, ingest_from, load_manifest
    from training.dataset.changes import decisions, history, record_ingestion

    lake = _lake(target)
    before = None
    if base is not None:
        manifest = load_manifest(lake, _bare(base))
        before = Base(manifest=manifest, decisions=decisions(history(lake, manifest.sha256)))
    found = ingest_from(
        _source(target, source),
        lake,
        seed=seed,
        index=None if index is None else _index(target, index),
        split_by=SplitBy(split_by),
        base=before,
        progress=progress,
    )
    if before is not None:
        by = target.identity(role=layout.Role.PUBLISHER)
        parent = before.manifest.sha256
        record_ingestion(lake, found.sha256, parent=parent, by=by, why=f"ingested {source}", now=clock())
    return found


def relabel(
    target: Target,
    dataset: str,
    *,
    keys: Sequence[str],
    label: str,
    why: str,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Change:
    """A new dataset in which these photos have another label; raises training's `PhotoUnknown`, `NothingToChange`."""
    from training.dataset import changes

    by = target.identity(role=layout.Role.PUBLISHER)
    return changes.relabel(_lake(target), _bare(dataset), keys=keys, label=label, by=by, why=why, now=clock())


def exclude(
    target: Target,
    dataset: str,
    *,
    keys: Sequence[str],
    why: str,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Change:
    """A new dataset without these photos; raises training's `PhotoUnknown`, `NothingToChange`, `DatasetRefused`."""
    from training.dataset import changes

    by = target.identity(role=layout.Role.PUBLISHER)
    return changes.exclude(_lake(target), _bare(dataset), keys=keys, by=by, why=why, now=clock())


def history(target: Target, dataset: str) -> list[Change]:
    """Who changed what, and why, on the way to a dataset, nearest first."""
    from training.dataset import load_manifest
    from training.dataset.changes import history

    lake = _lake(target)
    return history(lake, load_manifest(lake, _bare(dataset)).sha256)


@dataclass(frozen=True, kw_only=True)
class DatasetComparison:
    """Two datasets: photo by photo, and how they spread over labels, cameras and days."""

    before: str
    after: str
    difference: DatasetDifference
    shifts: Mapping[str, Shift]


def compare(target: Target, before: str, after: str) -> DatasetComparison:
    """What became of dataset `before` in `after`; raises training's `DatasetMissing`."""
    from training.dataset import load_manifest
    from training.dataset.difference import difference
    from training.dataset.distribution import shifts

    lake = _lake(target)
    old, new = load_manifest(lake, _bare(before)), load_manifest(lake, _bare(after))
    return DatasetComparison(
        before=old.sha256, after=new.sha256, difference=difference(old, new), shifts=shifts(old, new)
    )


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

    return load_manifest(_lake(target), _bare(prefix)).sha256


def labels(target: Target, sha256: str) -> tuple[str, ...]:
    """The classes of a dataset; raises training's `DatasetMissing`."""
    from training.dataset import load_manifest

    return load_manifest(_lake(target), sha256).labels


def _source(target: Target, source: str) -> Source:
    from training.dataset.sources import ArchiveSource, FolderSource, PrefixSource
    from training.dataset.sources.archive import SUFFIXES
    from training.dataset.sources.prefix import Address

    if source.startswith("s3://"):
        address = Address.parse(source)
        # As whoever calls, not in a role: the photos lie anywhere, and the publisher reads the data lake only.
        return PrefixSource(store=target.store(address.bucket), prefix=address.key)
    path = Path(source)
    return ArchiveSource(path) if path.name.lower().endswith(SUFFIXES) and not path.is_dir() else FolderSource(path)


def _index(target: Target, index: str) -> Index:
    from registry.errors import ObjectMissing
    from training.dataset.index import read_index
    from training.dataset.sources.prefix import Address
    from training.errors import DatasetRefused

    try:
        if index.startswith("s3://"):
            address = Address.parse(index)
            return read_index(index, target.store(address.bucket).get(address.key))
        return read_index(index, Path(index).read_bytes())
    except (OSError, ObjectMissing) as error:
        said = error.strerror if isinstance(error, OSError) else "no such object"
        raise DatasetRefused(f"the index {index} cannot be read: {said}") from error


def _bare(dataset: str) -> str:
    return dataset.removeprefix("sha256:")


def _lake(target: Target) -> ObjectStore:
    return target.store(target.outputs.data_lake, role=layout.Role.PUBLISHER)
