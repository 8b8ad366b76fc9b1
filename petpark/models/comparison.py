"""The differences between two versions, down to their training photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from petpark.models import model_versions
from petpark.models.lineage import OriginUnknown, find_dataset
from petpark.targets.target import Target

if TYPE_CHECKING:
    from registry.version import Version
    from registry.versions.difference import Difference
    from training.dataset.difference import DatasetDifference


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two versions. `dataset` is None if both have the same dataset, or none."""

    before: Version
    after: Version
    difference: Difference
    dataset: DatasetDifference | OriginUnknown | None


def compare(target: Target, before: int, after: int) -> Comparison:
    """Returns the differences of version `after` from version `before`. Raises the registry's `VersionMissing`."""
    from registry.versions.difference import difference

    old, new = model_versions.version(target, before), model_versions.version(target, after)
    return Comparison(
        before=old,
        after=new,
        difference=difference(old, new),
        dataset=_datasets(target, old.lineage.get("dataset"), new.lineage.get("dataset")),
    )


def _datasets(target: Target, before: str | None, after: str | None) -> DatasetDifference | OriginUnknown | None:
    from training.dataset.difference import difference

    if before == after:
        return None
    if before is None or after is None:
        return OriginUnknown(reason=f"the {'first' if before is None else 'second'} version names no dataset")
    old, new = find_dataset(target, before), find_dataset(target, after)
    if isinstance(old, OriginUnknown):
        return old
    return new if isinstance(new, OriginUnknown) else difference(old, new)
