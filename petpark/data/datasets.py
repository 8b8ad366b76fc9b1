"""Dataset versions in the data lake: new ones, which there are, and which one a prefix of its hash means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.errors import SourceClosed
from petpark.targets.target import Target, machine_cache
from registry.clock import Clock, utc_now
from registry.layout.data_lake import manifest_key
from registry.layout.roles import Role

if TYPE_CHECKING:
    from registry.store.object_store import ObjectStore
    from training.dataset import Ingestion
    from training.dataset.changes import Change
    from training.dataset.difference import DatasetDifference
    from training.dataset.distribution import Shift
    from training.dataset.index import Index
    from training.dataset.sources import Source
    from training.dataset.sources.prefix import Address
    from training.plan import DataGates


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """One dataset: how many photos, by label and by split."""

    sha256: str
    photos: int
    labels: Mapping[str, int]
    splits: Mapping[str, int]
    problem: str = ""
    """Why it cannot be read; then it has no photos here."""


def ingest(
    target: Target,
    source: str,
    *,
    seed: int,
    progress: Callable[[int, int], None],
    index: str | None = None,
    groups: Sequence[str] = (),
    split_by: str = "camera",
    base: str | None = None,
    clock: Clock = utc_now,
) -> Ingestion:
    """Put the photos of a folder, a prefix in S3, a tar archive here or in S3, or a public set into the data lake.

    `index` is a file, or an object in S3, with the photos' labels; `base` a dataset whose photos keep their splits, and
    whose relabels and exclusions remain valid. S3 is read in the publisher's role. Raises
    `SourceClosed`, and training's `DatasetRefused`, `DatasetMissing`, `PhotosUnreachable`.
    """
    from registry.encoding import format_time
    from training.dataset import Base, SplitBy, ingest_from, load_manifest
    from training.dataset.changes import decisions, history, record_ingestion
    from training.quality.stored import record_skipped

    lake = _lake(target)
    before = None
    if base is not None:
        manifest = load_manifest(lake, _bare(base))
        before = Base(manifest=manifest, decisions=decisions(history(lake, manifest.sha256)))
    found = ingest_from(
        _source(target, source),
        lake,
        seed=seed,
        index=None if index is None else _index(target, index, groups),
        split_by=SplitBy(split_by),
        base=before,
        progress=progress,
    )
    record_skipped(lake, found.sha256, source=source, skipped=found.skipped, at=format_time(clock()))
    sentence = terms(source)
    if before is not None or sentence is not None:
        by = target.identity(role=Role.PUBLISHER)
        parent = before.manifest.sha256 if before is not None else None
        why = f"ingested {source}" + (f": {sentence}" if sentence else "")
        record_ingestion(lake, found.sha256, parent=parent, by=by, why=why, now=clock())
    return found


def data_gates(target: Target, settings: Sequence[str] = ()) -> DataGates:
    """What a dataset must show: petpark's limits, upon them the stack's (`petpark:gates`), upon them `settings`.

    The one place where data gates come from. Raises training's `SpecMalformed`, which names those that exist.
    """
    from training.plan import DataGates

    declared = target.outputs.gates.data.items()
    # Outputs know no integers: 3.0 was written as 3.
    stacks = [f"{name}={int(value) if value == int(value) else value}" for name, value in declared]
    return DataGates().with_settings([*stacks, *settings])


def asked_gates(target: Target) -> DataGates | None:
    """A job's gates for its dataset's newest report: none if the stack declares none."""
    return data_gates(target) if target.outputs.gates.data else None


def terms(source: str) -> str | None:
    """Under which licence, and by whom, the photos of a public set are; None for photos of one's own."""
    from training.dataset.sources.oxford import OXFORD_BREEDS, OXFORD_PETS, OXFORD_TERMS

    return OXFORD_TERMS if source in {OXFORD_PETS, OXFORD_BREEDS} else None


def relabel(
    target: Target,
    dataset: str,
    *,
    keys: Sequence[str],
    label: str,
    why: str,
    clock: Clock = utc_now,
) -> Change:
    """A new dataset in which these photos have another label; raises training's `PhotoUnknown`, `NothingToChange`."""
    from training.dataset import changes

    by = target.identity(role=Role.PUBLISHER)
    return changes.relabel(_lake(target), _bare(dataset), keys=keys, label=label, by=by, why=why, now=clock())


def exclude(
    target: Target,
    dataset: str,
    *,
    keys: Sequence[str],
    why: str,
    clock: Clock = utc_now,
) -> Change:
    """A new dataset without these photos; raises training's `PhotoUnknown`, `NothingToChange`, `DatasetRefused`."""
    from training.dataset import changes

    by = target.identity(role=Role.PUBLISHER)
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
    """How `after` differs from dataset `before`. Raises training's `DatasetMissing`."""
    from training.dataset import load_manifest
    from training.dataset.difference import difference
    from training.dataset.distribution import shifts

    lake = _lake(target)
    old, new = load_manifest(lake, _bare(before)), load_manifest(lake, _bare(after))
    return DatasetComparison(
        before=old.sha256, after=new.sha256, difference=difference(old, new), shifts=shifts(old, new)
    )


def summaries(target: Target) -> list[DatasetSummary]:
    """All datasets of the data lake, by hash, and what lies among them and cannot be read."""
    from training.dataset.manifest import count_photos, list_datasets
    from training.errors import DatasetMissing, ManifestMalformed

    store = _lake(target)
    found: list[DatasetSummary] = []
    for sha256 in list_datasets(store):
        try:
            counted = count_photos(store, sha256)
        except (DatasetMissing, ManifestMalformed) as error:
            problem = f"{manifest_key(sha256)}: {error}"
            found.append(DatasetSummary(sha256=sha256, photos=0, labels={}, splits={}, problem=problem))
            continue
        labels, splits = Counter[str](), Counter[str]()
        for (label, split), photos in counted.items():
            labels[label] += photos
            splits[split] += photos
        found.append(
            DatasetSummary(
                sha256=sha256,
                photos=counted.total(),
                labels=dict(sorted(labels.items())),
                splits=dict(sorted(splits.items())),
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
    from training.dataset.sources import ArchiveSource, FolderSource, PrefixSource, StoredArchiveSource
    from training.dataset.sources.archive import SUFFIXES
    from training.dataset.sources.oxford import OXFORD_BREEDS, OxfordPetsSource
    from training.dataset.sources.prefix import Address

    if terms(source):
        return OxfordPetsSource.fetch(machine_cache(), by_breed=source == OXFORD_BREEDS)
    packed = source.lower().endswith(SUFFIXES)
    if source.startswith("s3://"):
        address = Address.parse(source)
        store = _open(target, address)
        if packed:
            return StoredArchiveSource(store=store, key=address.key, name=source)
        return PrefixSource(store=store, prefix=address.key)
    path = Path(source)
    return ArchiveSource(path) if packed and not path.is_dir() else FolderSource(path)


def _open(target: Target, address: Address) -> ObjectStore:
    """A bucket that photos lie in, in the publisher's role; `SourceClosed` at once if that may not read there."""
    from registry.errors import StoreRefused

    store = target.store(address.bucket, role=Role.PUBLISHER)
    key = address.key.rstrip("/")
    place = f"{address.bucket}/{key}".rstrip("/")
    try:
        next(store.keys(f"{key}/" if address.key.endswith("/") else key), None)
    except StoreRefused as error:
        if "NoSuchBucket" in error.actual:
            raise
        raise SourceClosed(
            f"The publisher's role may not read s3://{place}: {error.actual}.",
            next_step=f"Where it should, add `- {place}` to petpark:photo_sources in the YAML of the stack that owns "
            "the platform (petpark:platform: own), then pulumi up. A bucket of another account, and an encryption key "
            "of its own, must allow the role, too.",
        ) from error
    return store


def _index(target: Target, index: str, groups: Sequence[str]) -> Index:
    from registry.errors import ObjectMissing
    from training.dataset.index import read_index
    from training.dataset.sources.prefix import Address
    from training.errors import DatasetRefused

    try:
        if index.startswith("s3://"):
            address = Address.parse(index)
            return read_index(index, _open(target, address).get(address.key), groups)
        return read_index(index, Path(index).read_bytes(), groups)
    except (OSError, ObjectMissing) as error:
        sentence = error.strerror if isinstance(error, OSError) else "no such object"
        raise DatasetRefused(f"the index {index} cannot be read: {sentence}") from error


def _bare(dataset: str) -> str:
    return dataset.removeprefix("sha256:")


def _lake(target: Target) -> ObjectStore:
    return target.store(target.outputs.data_lake, role=Role.PUBLISHER)
