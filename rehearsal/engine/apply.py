"""Carries out steps: marks each as pending in the state, calls the provider, records the result."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from rehearsal.engine import plan as planning
from rehearsal.engine.display import Reporter, Step
from rehearsal.engine.errors import EngineError, ProviderDiagnostics, ResourceProtected
from rehearsal.engine.plan import Intent
from rehearsal.engine.provider.client import Applied
from rehearsal.engine.state import Record, State
from rehearsal.engine.translation.resources import Kind, Resources
from rehearsal.engine.values import UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What an operation that changes things works with."""

    state: State
    resources: Resources
    reporter: Reporter

    def create(self, intent: Intent) -> Record:
        """Create what `intent` plans; a half creation is recorded as tainted, to be replaced by the next update."""
        pending = replace(intent.record, pending="create", planned=_known(intent.plan.state or {}))
        self.state.put(pending)
        self.state.save()
        applied = self._apply(intent)
        record = intent.record
        if applied.state is None:
            self.state.forget(pending)
        else:
            record = self._settled(intent.kind, record, applied, tainted=bool(applied.errors))
            self.state.put(record)
        self._recorded(applied)
        return record

    def update(self, intent: Intent) -> Record:
        """Change in place what `intent` plans; with errors, what the provider reports as reached is recorded."""
        self.state.put(intent.record, instead_of=intent.old)
        self.state.put(replace(intent.record, pending="update"))
        self.state.save()
        applied = self._apply(intent)
        record = intent.record.settled()
        if applied.state is not None:
            record = self._settled(intent.kind, record, applied)
        self.state.put(record)
        self._recorded(applied)
        return record

    def delete(self, record: Record) -> None:
        """Delete the resource of `record`, in use or pending deletion, unless it is to be retained; then forget it."""
        state = record.provider_state
        if state is None or record.retain or not record.custom:
            self.state.forget(record)
            return
        kind, provider = self.resources.kind(record.type), self.resources.provider
        prior = self.resources.known(state, kind)
        pending = replace(record, pending="delete")
        self.state.swap(record, pending)
        self.state.save()
        plan = provider.plan(kind.schema, prior, None, state.private)
        applied = provider.apply(kind.schema, prior, None, None, plan.private or state.private)
        if applied.errors:
            fields = prior if applied.state is None else applied.state
            self.state.swap(
                pending, record.settled(provider_state=replace(state, version=kind.schema.version, fields=fields))
            )
        else:
            self.state.forget(pending)
        self._recorded(applied)

    def _apply(self, intent: Intent) -> Applied:
        plan = intent.plan
        return self.resources.provider.apply(intent.kind.schema, intent.prior, plan.state, intent.config, plan.private)

    def _settled(self, kind: Kind, record: Record, applied: Applied, *, tainted: bool = False) -> Record:
        return self.resources.completed(kind, record.settled(tainted=tainted), applied.state or {}, applied.private)

    def _recorded(self, applied: Applied) -> None:
        self.state.save()
        if applied.errors:
            raise ProviderDiagnostics(applied.errors)


def execute(
    worker: Worker, intent: Intent, *, seen: set[str], dry_run: bool, delete_before_replace: bool | None = None
) -> Record:
    """Bring a resource to its `intent`, or in a preview only report it.

    `seen` are the URNs that the program has registered so far; `delete_before_replace` is the program's option.
    """
    began = time.monotonic()
    if intent.decision == "same":
        if not dry_run:
            worker.state.put(intent.record, instead_of=intent.old)
        worker.reporter.finished(Step.on(intent.record, "same"))
        return intent.record
    op = intent.decision
    changes = () if op == "create" else planning.changes(worker.resources, intent)
    planned = planning.intend_replacement(worker.resources, _unprotected(intent)) if op == "replace" else intent
    record = planning.as_planned(worker.resources, planned)
    if not dry_run:
        worker.reporter.started(Step.on(record, op, changes=changes))
        if op == "create":
            record = worker.create(planned)
        elif op == "update":
            record = worker.update(planned)
        else:
            record = _replace(worker, intent, planned, seen=seen, delete_first=delete_before_replace)
    worker.reporter.finished(Step.on(record, op, changes=changes, began=began))
    return record


def _unprotected(intent: Intent) -> Intent:
    if intent.old is None or intent.old.protect:
        raise ResourceProtected(
            f"{intent.record.label} is protected and would have to be replaced; set protect=False and run up first."
        )
    return intent


def _replace(worker: Worker, intent: Intent, fresh: Intent, *, seen: set[str], delete_first: bool | None) -> Record:
    """Create the new before deleting the old at the end, or after deleting it now where both cannot exist."""
    old = intent.old
    if old is None:
        return worker.create(fresh)
    if planning.deletes_before_replacing(intent.kind, old, intent.record.inputs, delete_first):
        delete_dependents(worker, old, seen)
        worker.delete(old)
        return worker.create(fresh)
    worker.state.mark_for_deletion(old)
    try:
        return worker.create(fresh)
    except ProviderDiagnostics:
        if worker.state.get(fresh.record.urn) is None:  # nothing came of it: the old one stays in use
            worker.state.forget(old)
            worker.state.put(old)
            worker.state.save()
        raise


def delete_dependents(worker: Worker, record: Record, seen: set[str]) -> None:
    """Delete what depends on `record` and would be replaced with it, farthest first.

    As the official engine does: a dependent goes if its plan, with everything that comes from `record` unknown,
    asks for a replacement. The program registers it again later and it is created. What the program has registered
    already (`seen`) does not depend on `record` any more. Raises `ResourceProtected` before anything is deleted.
    """
    dependents = list({one.urn: one for one in _dependents(worker, record, seen)}.values())
    for dependent in dependents:
        if dependent.protect:
            raise ResourceProtected(
                f"{dependent.name} ({dependent.urn}) is protected and would have to be deleted, because {record.name} "
                "is replaced; set protect=False and run up first."
            )
    for dependent in dependents:
        began = time.monotonic()
        worker.reporter.started(Step.on(dependent, "delete"))
        worker.delete(dependent)
        worker.reporter.finished(Step.on(dependent, "delete", began=began))


def _dependents(worker: Worker, record: Record, seen: set[str]) -> Iterator[Record]:
    """What would be replaced with `record`, each after everything that would be replaced with it."""
    for other in worker.state.resources.values():
        if other.urn in seen:
            continue
        derived = [name for name, urns in other.property_dependencies.items() if record.urn in urns]
        if derived and planning.would_be_replaced(worker.resources, other, derived):
            yield from _dependents(worker, other, seen)
            yield other


def refuse_protected(records: Sequence[Record]) -> None:
    """Raise `ResourceProtected` if any of `records` is, before anything is deleted."""
    if protected := ", ".join(record.label for record in records if record.protect):
        raise ResourceProtected(
            f"Nothing was deleted, because these resources are protected: {protected}. Set protect=False in the "
            "program, run up, and delete then."
        )


def delete_all(
    records: Sequence[Record],
    *,
    delete: Callable[[Record], None],
    reporter: Reporter,
    parallel: int,
    cancelled: Callable[[], bool],
) -> None:
    """Call `delete` for each of `records`, each after everything that depends on it, as many at once as that allows.

    What fails is reported; what it depends on stays. Nothing new begins once `cancelled` returns true.
    """
    waiting = TopologicalSorter(_users(records))
    try:
        waiting.prepare()
    except CycleError as error:
        labels = ", ".join(records[index].label for index in error.args[1])
        reporter.failure(f"Nothing was deleted, because these resources depend on each other: {labels}.")
        return
    left = len(records)
    running: dict[Future[None], int] = {}
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="delete") as pool:
        while True:
            for index in () if cancelled() else waiting.get_ready():
                running[pool.submit(_delete, records[index], delete, reporter)] = index
                left -= 1
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                index = running.pop(future)
                if (error := future.exception()) is None:
                    waiting.done(index)  # one that failed is never done, so what it uses is never ready
                elif not isinstance(error, EngineError):
                    raise error
    if cancelled() and left:
        reporter.failure(f"Cancelled: {left} resources were not deleted. Run the same command to go on.")


def _users(records: Sequence[Record]) -> dict[int, set[int]]:
    """For the index of each record the indices of those that depend on it, by their URNs."""
    return {
        index: {user for user, other in enumerate(records) if user != index and record.urn in other.dependencies}
        for index, record in enumerate(records)
    }


def _delete(record: Record, delete: Callable[[Record], None], reporter: Reporter) -> None:
    began = time.monotonic()
    if record.provider_state is not None:
        reporter.started(Step.on(record, "delete"))
    try:
        delete(record)
    except EngineError as error:
        reporter.failure(f"{record.label}: {error}", Step.on(record, "delete", began=began))
        raise
    reporter.finished(Step.on(record, "delete", began=began))


def _known(value: Any) -> Any:
    """`value` with every unknown as null, fit for the state file."""
    if value is UNKNOWN:
        return None
    if isinstance(value, dict):
        return {name: _known(inner) for name, inner in value.items()}
    return [_known(inner) for inner in value] if isinstance(value, list) else value
