"""What differs between two versions, field by field. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from registry.version import StoredFile, Version


@dataclass(frozen=True, kw_only=True)
class Change[T]:
    """A value in both versions; None if one has none."""

    before: T | None
    after: T | None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Everything in which `after` differs from `before`; what is equal is not in here."""

    before: int
    after: int
    files: Mapping[str, Change[StoredFile]]
    metrics: Mapping[str, Change[float]]
    labels: Change[tuple[str, ...]] | None
    lineage: Mapping[str, Change[str]]

    @property
    def empty(self) -> bool:
        """Whether the two have the same content."""
        return not (self.files or self.metrics or self.labels or self.lineage)


def difference(before: Version, after: Version) -> Difference:
    """What one must change in `before` to get the content of `after`."""
    labels = Change(before=before.labels, after=after.labels)
    return Difference(
        before=before.number,
        after=after.number,
        files=_changes({file.name: file for file in before.files}, {file.name: file for file in after.files}),
        metrics=_changes(before.metrics, after.metrics),
        labels=labels if before.labels != after.labels else None,
        lineage=_changes(before.lineage, after.lineage),
    )


def _changes[T](before: Mapping[str, T], after: Mapping[str, T]) -> dict[str, Change[T]]:
    return {
        name: Change(before=before.get(name), after=after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }
