"""Objects that block a registry's logs, and may be declared void: `petpark models repair`.

Nothing here decides that a registry is whole. An obstacle is an object that was written once and never belonged; where
the bucket shows that something was deleted or rewritten, nothing may be declared: that has to be restored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from registry.channels.channel import Channel
from registry.channels.experiment import Experiments
from registry.encoding import NAME, sha256_hex
from registry.errors import HistoryBroken, ObjectRewritten, RegistryError, StoreUnavailable
from registry.layout.model_store import Prefix, object_prefix
from registry.logs.chain import Chain
from registry.logs.log import READERS, Log, unbroken
from registry.logs.repairs import Repair, Repairs
from registry.store.object_store import PrunableStore
from registry.store.transfer import in_order
from registry.versions.catalog import Catalog


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """An object because of which a log, or the collector, cannot continue."""

    key: str
    body: bytes
    problem: RegistryError

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        return sha256_hex(self.body)


def find(store: PrunableStore, model: str) -> list[Obstacle]:
    """The obstacles that can be seen now; behind them there may be more. ObjectRewritten: restore that first."""
    found = list(_versions(store, model))
    for prefix, make in ((Prefix.CHANNELS, Channel), (Prefix.EXPERIMENTS, Experiments)):
        for name in _names(store, object_prefix(model, prefix)):
            found += _in_chain(store, make(store, model, name).chain)
    return found


def declare(repairs: Repairs, obstacle: Obstacle, *, by: str, why: str) -> Repair:
    """Record that it is not part of its log."""
    return repairs.declare(obstacle.key, obstacle.body, problem=str(obstacle.problem), by=by, why=why)


def _in_chain(store: PrunableStore, chain: Chain[Any]) -> Iterator[Obstacle]:
    try:
        chain.follow()
    except HistoryBroken as problem:
        _refuse_rewritten(store, chain.log.prefix)
        numbers, at = chain.log.numbers(), chain.next_number
        for number in [at] if at in numbers else [number for number in numbers if number > at]:
            yield _obstacle(chain.log, number, problem)


def _versions(store: PrunableStore, model: str) -> Iterator[Obstacle]:
    catalog, repairs = Catalog(store, model), Repairs(store, model)
    log = catalog.log
    numbers = log.numbers()
    end = unbroken(numbers)

    def problem_at(number: int) -> RegistryError | None:
        try:
            catalog.version(number)
        except StoreUnavailable:
            raise
        except RegistryError as problem:
            return problem
        return log.hole(end + 1) if number > end else None

    found = in_order(problem_at, numbers, at_once=READERS, waiting=READERS)
    for number, problem in zip(numbers, found, strict=True):
        if problem is None:
            continue
        obstacle = _obstacle(log, number, problem)
        if not repairs.void(obstacle.key, obstacle.body):
            _refuse_rewritten(store, log.prefix)
            yield obstacle


def _obstacle(log: Log, number: int, problem: RegistryError) -> Obstacle:
    return Obstacle(key=log.key(number), body=log.read(number) or b"", problem=problem)


def _refuse_rewritten(store: PrunableStore, prefix: str) -> None:
    for key, group in groupby(store.revisions(prefix), key=lambda revision: revision.key):
        states = list(group)
        if len(states) > 1 or states[0].deleted:
            raise ObjectRewritten(key, revisions=len(states), deleted=states[0].deleted)


def _names(store: PrunableStore, prefix: str) -> list[str]:
    names = {key.removeprefix(prefix).partition("/")[0] for key in store.keys(prefix)}
    return sorted(name for name in names if NAME.fullmatch(name))
