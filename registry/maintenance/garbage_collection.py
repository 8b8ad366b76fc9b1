"""The garbage collector: removes blobs that no version uses, and nothing else.

Why no publisher can lose a blob to it: docs/design/registry.md, "Collect".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from registry.layout.model_store import Prefix, blob_key, object_prefix
from registry.store.object_info import Stored
from registry.store.object_store import PrunableStore
from registry.store.transfer import REQUESTS_AT_ONCE, in_order
from registry.versions.catalog import Catalog
from registry.versions.upload import GRACE

REMOVERS = REQUESTS_AT_ONCE


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """Blobs that no version uses: `old` ones may go, `young` ones may belong to a publish that is under way."""

    old: Sequence[Stored]
    young: Sequence[Stored]

    @property
    def bytes(self) -> int:
        """What removing the old ones frees."""
        return sum(blob.bytes for blob in self.old)


class Collector:
    """Finds and removes a model's garbage. Any number may run at once, and each may die at any moment."""

    def __init__(self, store: PrunableStore, model: str) -> None:
        self._store = store
        self._catalog = Catalog(store, model)
        self._blobs = object_prefix(model, Prefix.BLOBS)

    def find(self) -> Garbage:
        """What could be removed. HistoryBroken, VersionMalformed: nothing is garbage in a registry that is damaged."""
        blobs = list(self._store.stats(self._blobs))  # before the versions: see the design page
        used = self._used()
        unused = [blob for blob in blobs if blob.key not in used]
        return Garbage(
            old=[blob for blob in unused if blob.age > GRACE], young=[blob for blob in unused if blob.age <= GRACE]
        )

    def collect(self, garbage: Garbage) -> Iterator[Stored]:
        """Remove the old ones, each checked once more just before; yields each removed one."""
        used = self._used()

        def remove(blob: Stored) -> Stored | None:
            now = self._store.stat(blob.key)
            if now is None or now.age <= GRACE:
                return None
            self._store.delete(blob.key)
            return now

        unused = (blob for blob in garbage.old if blob.key not in used)
        gone = in_order(remove, unused, at_once=REMOVERS, waiting=REMOVERS)
        return (blob for blob in gone if blob is not None)

    def _used(self) -> set[str]:
        return {
            blob_key(self._catalog.model, file.sha256) for version in self._catalog.each() for file in version.files
        }
