"""Where a version comes from: the weights it began with, the run that trained it, the dataset, the photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from petpark.errors import describe
from petpark.targets.target import Target
from registry import layout
from registry.layout import Role

if TYPE_CHECKING:
    from registry.store.object_store import ObjectStore
    from registry.version import Version
    from registry.versions.catalog import Catalog
    from training.dataset import Manifest
    from training.job import EpochRecord, JobResult, JobSpec

_READERS = 8
_AT_ONCE = 32
"""Versions that are read before it is looked whether one of them is the one that is searched."""


@dataclass(frozen=True, kw_only=True)
class OriginUnknown:
    """The walk ends here: what a version names is not to be seen, or was never there; `reason` is a sentence."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a job left behind; `epochs` counts those that it measured, `last` is the last of them."""

    spec: JobSpec
    result: JobResult | None
    epochs: int
    last: EpochRecord | None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One version and what it was made of; None where the version names nothing."""

    version: Version
    weights: Origin | OriginUnknown | None
    run: Run | OriginUnknown | None
    dataset: Manifest | OriginUnknown | None


def walk(target: Target, number: int) -> Origin:
    """From version `number` back to everything that it names; raises the registry's `VersionMissing`.

    What cannot be found any more, or not be seen by this person, is a `OriginUnknown`.
    """
    from registry.versions.catalog import Catalog

    catalog = Catalog(target.store(target.outputs.model_store, role=Role.READER), target.outputs.model)
    return _Walk(target, catalog).origin(catalog.version(number))


def find_dataset(target: Target, sha256: str) -> Manifest | OriginUnknown:
    """The manifest of that hash, or why it is not to be seen."""
    from training.dataset import load_manifest

    return _look(lambda: load_manifest(_store(target, target.outputs.data_lake), sha256))


class _Walk:
    def __init__(self, target: Target, catalog: Catalog) -> None:
        self._target = target
        self._catalog = catalog
        self._datasets: dict[str, Manifest | OriginUnknown] = {}

    def origin(self, version: Version) -> Origin:
        weights, run, dataset = (version.lineage.get(name) for name in ("initial_weights", "run", "dataset"))
        return Origin(
            version=version,
            weights=None if weights is None else self._weights(weights, version),
            run=None if run is None else _look(lambda: self._run(run)),
            dataset=None if dataset is None else self._dataset(dataset),
        )

    def _weights(self, sha256: str, version: Version) -> Origin | OriginUnknown:
        for earlier in self._versions_before(version.number):
            if any(file.sha256 == sha256 for file in earlier.files):
                return self.origin(earlier)
        return OriginUnknown(reason="not a version's file: it was submitted with the job")

    def _versions_before(self, number: int) -> Iterator[Version]:
        """Newest first: a training mostly continues from a late one."""
        with ThreadPoolExecutor(_READERS) as pool:
            for numbers in batched(range(number - 1, 0, -1), _AT_ONCE, strict=False):
                yield from pool.map(self._catalog.version, numbers)

    def _run(self, job: str) -> Run | OriginUnknown:
        from training.errors import JobMissing
        from training.job import EpochRecord, find_result, load_spec

        store = _store(self._target, self._target.outputs.workspace)
        try:
            spec = load_spec(store, job)
        except JobMissing:
            return OriginUnknown(reason="its record is gone: the workspace forgets jobs after 90 days")
        epochs = list(store.keys(layout.epochs_prefix(job)))
        return Run(
            spec=spec,
            result=find_result(store, job),
            epochs=len(epochs),
            last=EpochRecord.from_json(store.get(epochs[-1])) if epochs else None,
        )

    def _dataset(self, sha256: str) -> Manifest | OriginUnknown:
        if sha256 not in self._datasets:
            self._datasets[sha256] = find_dataset(self._target, sha256)
        return self._datasets[sha256]


def _look[T](find: Callable[[], T | OriginUnknown]) -> T | OriginUnknown:
    """What `find` finds. What is gone or damaged, or not for this person to see, is a dead end and no failure."""
    from registry.errors import StoreRefused
    from training.errors import TrainingError

    try:
        return find()
    except (TrainingError, StoreRefused) as error:
        return OriginUnknown(reason=str(error))
    except ClientError as error:
        failure = describe(error)
        if failure is None or failure.outcome != "AccessDenied":
            raise
        return OriginUnknown(reason=f"{failure.message}. {failure.next_step}")


def _store(target: Target, bucket: str) -> ObjectStore:
    # The publisher reads photos and jobs; the reader has no business with them.
    return target.store(bucket, role=Role.PUBLISHER)
