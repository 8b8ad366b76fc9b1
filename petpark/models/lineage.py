"""The lineage of a version: initial weights, training run, dataset, photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from petpark.failures.failure import describe
from petpark.targets.target import Target
from registry.layout.jobs import epochs_prefix
from registry.layout.roles import Role

if TYPE_CHECKING:
    from registry.store.object_store import ObjectStore
    from registry.version import Version
    from registry.versions.catalog import Catalog
    from training.dataset import Manifest
    from training.job import EpochRecord, JobResult, JobSpec

_READERS = 8
_AT_ONCE = 32
"""Number of versions that are read at once in a search."""


@dataclass(frozen=True, kw_only=True)
class OriginUnknown:
    """A dead end of the lineage: the named object is not readable or does not exist. `reason` is a sentence."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """A job's records; `epochs` is the number of measured epochs, `last` the last of them."""

    spec: JobSpec
    result: JobResult | None
    epochs: int
    last: EpochRecord | None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One version and its origins; None if the version does not name one."""

    version: Version
    weights: Origin | OriginUnknown | None
    run: Run | OriginUnknown | None
    dataset: Manifest | OriginUnknown | None


def walk(target: Target, number: int) -> Origin:
    """Returns the lineage of version `number`. Raises the registry's `VersionMissing`.

    An origin that was deleted, or that this person may not read, is an `OriginUnknown`.
    """
    from registry.versions.catalog import Catalog

    catalog = Catalog(target.store(target.outputs.model_store, role=Role.READER), target.outputs.model)
    return _Walk(target, catalog).origin(catalog.version(number))


def find_dataset(target: Target, sha256: str) -> Manifest | OriginUnknown:
    """Returns the manifest with that hash, or why it cannot be read."""
    from training.dataset import load_manifest

    return _found_or_unknown(lambda: load_manifest(_store(target, target.outputs.data_lake), sha256))


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
            run=None if run is None else _found_or_unknown(lambda: self._run(run)),
            dataset=None if dataset is None else self._dataset(dataset),
        )

    def _weights(self, sha256: str, version: Version) -> Origin | OriginUnknown:
        for earlier in self._versions_before(version.number):
            if any(file.sha256 == sha256 for file in earlier.files):
                return self.origin(earlier)
        return OriginUnknown(reason="not a version's file: it was submitted with the job")

    def _versions_before(self, number: int) -> Iterator[Version]:
        """Newest first: most trainings start from a recent version."""
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
            return OriginUnknown(reason="its record was deleted: the workspace keeps jobs for 90 days")
        epochs = list(store.keys(epochs_prefix(job)))
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


def _found_or_unknown[T](find: Callable[[], T | OriginUnknown]) -> T | OriginUnknown:
    """The result of `find`. A deleted, damaged or unreadable object is a dead end, not a failure."""
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
    # The publisher may read photos and jobs; the reader may not.
    return target.store(bucket, role=Role.PUBLISHER)
