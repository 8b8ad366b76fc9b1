"""Refresh: reads every resource and brings the state to what is really there."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rehearsal.engine import diff
from rehearsal.engine.errors import EngineError
from rehearsal.engine.mending import refreshed
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
    except EngineError as error:
        worker.reporter.failure(
            f"{short_type(record.type)} {record.name}: {error}", step_of("same", record, began=began)
        )
        return
    if fresh is None:
        worker.state.forget(record)
        worker.reporter.finished(step_of("delete", record, old=record.outputs, began=began))
        return
    changed = diff.changes(record.outputs, fresh.outputs, secrets=fresh.secrets)
    if fresh != record:
        worker.state.swap(record, fresh)
    op = "update" if changed else "same"
    step = step_of(op, fresh, old=record.outputs, new=fresh.outputs, changes=changed, began=began)
    worker.reporter.finished(step)
