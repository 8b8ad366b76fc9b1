"""Refresh: reads every resource and brings the state to what is really there.

A difference in what only AWS sets is saved and counted as "same", as the official engine does; what the program asked
for and no longer is, is an update.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from rehearsal.engine import planning
from rehearsal.engine import step as decisions
from rehearsal.engine.crash_recovery import refreshed
from rehearsal.engine.errors import EngineError
from rehearsal.engine.record import Record
from rehearsal.engine.type_table import short_type
from rehearsal.engine.worker import Worker, step_of


def refresh_all(worker: Worker, *, parallel: int, cancelled: Callable[[], bool]) -> None:
    """Read every resource of the stack; what drifted is told and recorded, what is gone is forgotten."""

    def one(record: Record) -> None:
        if not cancelled():
            _refresh(worker, record)

    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="refresh") as pool:
        list(pool.map(one, worker.state.resources.values()))
    worker.state.save()


def _refresh(worker: Worker, record: Record) -> None:
    if record.held is None:
        worker.reporter.finished(step_of("same", record, old=record.outputs, new=record.outputs))
        return
    began = time.monotonic()
    try:
        fresh = refreshed(worker.bridge, worker.bridge.kind(record.type), record)
        fresh = None if fresh is None else _following(record, fresh)
        changed = () if fresh is None else planning.drift(worker.bridge, record, fresh)
    except EngineError as error:
        worker.reporter.failure(
            f"{short_type(record.type)} {record.name}: {error}", step_of("same", record, began=began)
        )
        return
    if fresh is None:
        worker.state.forget(record)
        worker.reporter.finished(step_of("delete", record, old=record.outputs, began=began))
        return
    if fresh != record:
        worker.state.swap(record, fresh)
    op = "update" if changed else "same"
    step = step_of(op, fresh, old=record.outputs, new=fresh.outputs, changes=changed, began=began)
    worker.reporter.finished(step)


def _following(record: Record, fresh: Record) -> Record:
    """`fresh` with the inputs that `ignore_changes` names as they are now, so that the next `up` leaves them so.

    Only where AWS gave back exactly what the program gave: elsewhere the outputs hold what is no input.
    """
    follow = [
        path
        for path, steps in ((path, decisions.property_path(path)) for path in record.ignore_changes)
        if decisions.at(record.inputs, steps) is not None
        and decisions.at(record.inputs, steps) == decisions.at(record.outputs, steps)
    ]
    return replace(fresh, inputs=decisions.ignore_changes(fresh.inputs, fresh.outputs, follow))
