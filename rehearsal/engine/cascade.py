"""What must go before a resource can be deleted and made anew: its dependents that could not live through it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rehearsal.engine import step as decisions
from rehearsal.engine.errors import ResourceProtected
from rehearsal.engine.record import Record
from rehearsal.engine.values import UNKNOWN
from rehearsal.engine.worker import Worker, step_of


def delete_dependents(worker: Worker, record: Record, seen: set[str]) -> None:
    """Delete what depends on `record` and would be replaced with it, farthest first.

    As the official engine does: a dependent goes if its plan, with everything that comes from `record` unknown,
    asks for a replacement. The program registers it again later and it is created. What the program has registered
    already (`seen`) does not depend on `record` any more.
    """
    for dependent in _dependents(worker, record, seen):
        if dependent.protect:
            raise ResourceProtected(
                f"{dependent.name} ({dependent.urn}) is protected and would have to be deleted, because {record.name} "
                "is replaced; set protect=False and run up first."
            )
        delete_dependents(worker, dependent, seen)
        began = time.monotonic()
        worker.reporter.started(step_of("delete", dependent))
        worker.delete(dependent)
        worker.reporter.finished(step_of("delete", dependent, began=began))


def _dependents(worker: Worker, record: Record, seen: set[str]) -> Iterator[Record]:
    for other in worker.state.resources.values():
        if other.held is None or other.urn in seen:
            continue
        derived = [name for name, urns in other.property_dependencies.items() if record.urn in urns]
        if derived and _would_be_replaced(worker, other, derived):
            yield other


def _would_be_replaced(worker: Worker, record: Record, derived: list[str]) -> bool:
    if record.held is None:
        return False
    kind = worker.bridge.kind(record.type)
    prior = worker.bridge.known(record.held, kind)
    config = worker.bridge.config(kind, record.inputs | dict.fromkeys(derived, UNKNOWN), {})
    plan = worker.bridge.provider.plan(kind.schema, prior, config, record.held.private)
    return decisions.decide(prior, plan.state, plan.replaces) == "replace"
