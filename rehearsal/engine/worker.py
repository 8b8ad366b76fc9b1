"""Carries out steps: marks each as pending in the state, calls the provider, records what came of it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from rehearsal.engine import diff
from rehearsal.engine.bridge import Bridge, Kind
from rehearsal.engine.errors import ProviderDiagnostics
from rehearsal.engine.events import Change, Op, Step
from rehearsal.engine.provider import Applied, Plan
from rehearsal.engine.record import Held, Record
from rehearsal.engine.reporter import Reporter
from rehearsal.engine.state import State
from rehearsal.engine.values import UNKNOWN, Fields


class Worker:
    """The hands of an operation that changes things."""

    def __init__(self, *, state: State, bridge: Bridge, reporter: Reporter) -> None:
        self.state = state
        self.bridge = bridge
        self.reporter = reporter

    def create(self, kind: Kind, record: Record, plan: Plan, config: Fields) -> Record:
        """Create what `plan` says; a half creation is recorded as tainted, to be replaced by the next update."""
        pending = replace(record, pending="create", planned=_known(plan.state or {}))
        self.state.put(pending)
        self.state.save()
        applied = self.bridge.provider.apply(kind.schema, None, plan.state, config, plan.private)
        if applied.state is None:
            self.state.forget(pending)
        else:
            record = self._settled(kind, record, applied, tainted=bool(applied.errors))
            self.state.put(record)
        self.state.save()
        if applied.errors:
            raise ProviderDiagnostics(applied.errors)
        return record

    def update(self, kind: Kind, record: Record, prior: Fields, plan: Plan, config: Fields) -> Record:
        """Change in place what `plan` says; with errors, what the provider reports as reached is recorded."""
        self.state.put(replace(record, pending="update"))
        self.state.save()
        applied = self.bridge.provider.apply(kind.schema, prior, plan.state, config, plan.private)
        record = self._settled(kind, record, applied) if applied.state is not None else record.settled()
        self.state.put(record)
        self.state.save()
        if applied.errors:
            raise ProviderDiagnostics(applied.errors)
        return record

    def delete(self, record: Record) -> None:
        """Delete the resource of `record`, in use or condemned, unless it is to be retained; then forget it."""
        held = record.held
        if held is None or record.retain or not record.custom:
            self.state.forget(record)
            return
        kind = self.bridge.kind(record.type)
        prior = self.bridge.known(held, kind)
        pending = replace(record, pending="delete")
        self.state.swap(record, pending)
        self.state.save()
        plan = self.bridge.provider.plan(kind.schema, prior, None, held.private)
        applied = self.bridge.provider.apply(kind.schema, prior, None, None, plan.private or held.private)
        if applied.errors:
            fields = prior if applied.state is None else applied.state
            self.state.swap(pending, record.settled(held=replace(held, version=kind.schema.version, fields=fields)))
        else:
            self.state.forget(pending)
        self.state.save()
        if applied.errors:
            raise ProviderDiagnostics(applied.errors)

    def _settled(self, kind: Kind, record: Record, applied: Applied, *, tainted: bool = False) -> Record:
        fields = applied.state or {}
        held = Held(terraform=kind.schema.name, version=kind.schema.version, fields=fields, private=applied.private)
        return self.bridge.completed(kind, record.settled(tainted=tainted), held)


def step_of(
    op: Op,
    record: Record,
    *,
    old: Fields | None = None,
    new: Fields | None = None,
    changes: tuple[Change, ...] = (),
    began: float | None = None,
) -> Step:
    """The step `op` on `record`, as it may be shown; `began` is when it began on the monotonic clock."""

    def shown(values: Fields | None) -> dict[str, Any] | None:
        return None if values is None else diff.shown(values, record.secrets)

    return Step(
        op=op,
        urn=record.urn,
        type=record.type,
        name=record.name,
        custom=record.custom,
        id=record.id,
        parent=record.parent,
        inputs=shown(record.inputs),
        changes=changes,
        old=shown(old),
        new=shown(new),
        seconds=0.0 if began is None else time.monotonic() - began,
    )


def _known(value: Any) -> Any:
    """`value` with every unknown as null, fit for the state file."""
    if value is UNKNOWN:
        return None
    if isinstance(value, dict):
        return {name: _known(inner) for name, inner in value.items()}
    return [_known(inner) for inner in value] if isinstance(value, list) else value
