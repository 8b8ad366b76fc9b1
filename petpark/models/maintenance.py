"""Maintenance of the registry's bucket: fsck and garbage collection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from petpark.targets.target import Target
from registry.layout.roles import Role

if TYPE_CHECKING:
    from registry.logs.repairs import Repair
    from registry.maintenance.fsck import Inspection
    from registry.maintenance.garbage_collection import Collector, Garbage
    from registry.maintenance.obstacles import Obstacle
    from registry.store.object_info import Stored


def inspect(target: Target, *, deep: bool, progress: Callable[[int, int], None]) -> Inspection:
    """Returns the result of fsck on the registry, as its reader; `deep` also reads and hashes every file."""
    from registry.maintenance import fsck

    store = target.store(target.outputs.model_store, role=Role.READER)
    verifier = target.verifier(role=Role.READER)
    return fsck.inspect(store, target.outputs.model, verifier=verifier, deep=deep, progress=progress)


def find_garbage(target: Target) -> Garbage:
    """Returns the files that no version uses. Raises `HistoryBroken`, `VersionMalformed` if the registry is damaged."""
    return _collector(target).find()


def collect(target: Target, garbage: Garbage) -> Iterator[Stored]:
    """Delete old garbage, as the registry's collector. Yields each deleted object."""
    return _collector(target).collect(garbage)


def obstacles(target: Target) -> list[Obstacle]:
    """Returns the invalid objects in the registry's logs. Raises the registry's `ObjectRewritten`."""
    from registry.maintenance import obstacles

    return obstacles.find(target.store(target.outputs.model_store, role=Role.REPAIRER), target.outputs.model)


def declare_void(target: Target, found: Sequence[Obstacle], *, why: str) -> list[Repair]:
    """Record, as the registry's repairer, that these objects are not part of their logs. Raises `ReasonMissing`."""
    from registry.channels.promotion import require_reason
    from registry.logs.repairs import Repairs
    from registry.maintenance import obstacles

    require_reason("a reason", why)
    repairs = Repairs(target.store(target.outputs.model_store, role=Role.REPAIRER), target.outputs.model)
    by = target.identity(role=Role.REPAIRER)
    return [obstacles.declare(repairs, each, by=by, why=why) for each in found]


def repairs(target: Target) -> list[Repair]:
    """Returns all repairs."""
    from registry.logs.repairs import Repairs

    return Repairs(target.store(target.outputs.model_store, role=Role.READER), target.outputs.model).all()


def _collector(target: Target) -> Collector:
    from registry.maintenance.garbage_collection import Collector

    return Collector(target.store(target.outputs.model_store, role=Role.COLLECTOR), target.outputs.model)
