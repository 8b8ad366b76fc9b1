"""Takes the step that an intent asks for, or in a preview tells of it."""

from __future__ import annotations

import time

from rehearsal.engine import planning
from rehearsal.engine import step as decisions
from rehearsal.engine.cascade import delete_dependents
from rehearsal.engine.errors import ProviderDiagnostics, ResourceProtected
from rehearsal.engine.planning import Intent
from rehearsal.engine.record import Record
from rehearsal.engine.worker import Worker, step_of


def take(worker: Worker, intent: Intent, *, seen: set[str], dry_run: bool) -> Record:
    """Bring a resource to what `intent` says; `seen` are the URNs that the program has registered so far."""
    match intent.decision:
        case "same":
            return _same(worker, intent, dry_run=dry_run)
        case "create":
            return _create(worker, intent, dry_run=dry_run)
        case "update":
            return _update(worker, intent, dry_run=dry_run)
        case "replace":
            return _replace(worker, intent, seen=seen, dry_run=dry_run)


def _same(worker: Worker, intent: Intent, *, dry_run: bool) -> Record:
    record = intent.record
    if not dry_run:
        worker.state.put(record, instead_of=intent.old)
    worker.reporter.finished(step_of("same", record, old=record.outputs, new=record.outputs))
    return record


def _create(worker: Worker, intent: Intent, *, dry_run: bool) -> Record:
    began = time.monotonic()
    record = planning.as_planned(worker.bridge, intent)
    if not dry_run:
        worker.reporter.started(step_of("create", record, new=record.outputs))
        record = worker.create(intent.kind, intent.record, intent.plan, intent.config)
    worker.reporter.finished(step_of("create", record, new=record.outputs, began=began))
    return record


def _update(worker: Worker, intent: Intent, *, dry_run: bool) -> Record:
    began = time.monotonic()
    changes = planning.changes(worker.bridge, intent)
    record, old = planning.as_planned(worker.bridge, intent), intent.record.outputs
    if not dry_run and intent.prior is not None:
        worker.state.put(intent.record, instead_of=intent.old)
        worker.reporter.started(step_of("update", record, old=old, new=record.outputs, changes=changes))
        record = worker.update(intent.kind, intent.record, intent.prior, intent.plan, intent.config)
    worker.reporter.finished(step_of("update", record, old=old, new=record.outputs, changes=changes, began=began))
    return record


def _replace(worker: Worker, intent: Intent, *, seen: set[str], dry_run: bool) -> Record:
    """Create the new before deleting the old at the end, or after deleting it now where both cannot exist."""
    began = time.monotonic()
    old, wanted = intent.old, intent.registration
    if old is None or old.protect:
        raise ResourceProtected(
            f"{wanted.label} is protected and would have to be replaced; set protect=False and run up first."
        )
    changes = planning.changes(worker.bridge, intent)
    before = decisions.deletes_before_replacing(intent.kind, old, intent.record.inputs, wanted.delete_before_replace)
    fresh = planning.intend_replacement(worker.bridge, intent)
    record, outputs = planning.as_planned(worker.bridge, fresh), intent.record.outputs
    if not dry_run:
        worker.reporter.started(step_of("replace", record, old=outputs, new=record.outputs, changes=changes))
        if before:
            delete_dependents(worker, old, seen)
            worker.delete(old)
            record = worker.create(fresh.kind, fresh.record, fresh.plan, fresh.config)
        else:
            record = _create_beside(worker, old, fresh)
    worker.reporter.finished(step_of("replace", record, old=outputs, new=record.outputs, changes=changes, began=began))
    return record


def _create_beside(worker: Worker, old: Record, fresh: Intent) -> Record:
    """Create the new one while the old one, condemned, waits for its deletion at the end of the update."""
    worker.state.condemn(old)
    try:
        return worker.create(fresh.kind, fresh.record, fresh.plan, fresh.config)
    except ProviderDiagnostics:
        if worker.state.get(fresh.record.urn) is None:  # nothing came of it: the old one stays in use
            worker.state.forget(old)
            worker.state.put(old)
            worker.state.save()
        raise
