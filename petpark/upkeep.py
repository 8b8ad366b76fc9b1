"""Looking after the registry's bucket: every object held against what it must be, and what nobody needs removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from petpark.target import Target
from registry.layout import Role

if TYPE_CHECKING:
    from registry.collection import Collector, Garbage
    from registry.inspection import Inspection
    from registry.object_store import Stored


def inspect(target: Target, *, deep: bool, progress: Callable[[int, int], None]) -> Inspection:
    """Look at every object of the registry, as its reader; `deep` also reads and hashes every file."""
    from registry import inspection

    store = target.store(target.outputs.model_store, role=Role.READER)
    verifier = target.verifier(role=Role.READER)
    return inspection.inspect(store, target.outputs.model, verifier=verifier, deep=deep, progress=progress)


def find_garbage(target: Target) -> Garbage:
    """The files that no version uses; raises `HistoryBroken` or `VersionMalformed` in a registry that is damaged."""
    return _collector(target).find()


def collect(target: Target, garbage: Garbage) -> Iterator[Stored]:
    """Remove the old ones, as the registry's collector; gives each that is gone."""
    return _collector(target).collect(garbage)


def _collector(target: Target) -> Collector:
    from registry.collection import Collector

    return Collector(target.store(target.outputs.model_store, role=Role.COLLECTOR), target.outputs.model)
