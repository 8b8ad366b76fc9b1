"""From what the program wants of a resource to the step to take: inputs, names, the provider's plan, the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rehearsal.engine import diff
from rehearsal.engine import step as decisions
from rehearsal.engine.bridge import Bridge, Kind, autoname
from rehearsal.engine.events import Change
from rehearsal.engine.provider import Plan
from rehearsal.engine.record import Held, Record
from rehearsal.engine.registration import Registration
from rehearsal.engine.values import UNKNOWN, Fields


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A resource on its way: what it was, what is wanted, and the provider's plan between the two.

    `record` is what the state will say if nothing has to be done; `prior` is None for a resource to be created.
    """

    kind: Kind
    registration: Registration
    old: Record | None
    record: Record
    prior: Fields | None
    config: Fields
    plan: Plan

    @property
    def decision(self) -> decisions.Decision:
        """The step to take."""
        tainted = self.old is not None and self.old.tainted
        return decisions.decide(self.prior, self.plan.state, self.plan.replaces, tainted=tainted)


def record_of(address: str, wanted: Registration) -> Record:
    """The record of a resource that is wanted so, before anything is known of how it is."""
    secrets = wanted.inputs.secrets | wanted.additional_secrets
    return Record(
        urn=address,
        type=wanted.type,
        name=wanted.name,
        parent=wanted.parent,
        custom=wanted.custom,
        inputs=wanted.inputs.values,
        # What AWS reports of a resource's tags repeats what the program gave.
        secrets=secrets | {"tagsAll"} if "tags" in secrets else secrets,
        dependencies=tuple(sorted({*wanted.dependencies, *([wanted.parent] if wanted.parent else [])})),
        property_dependencies=wanted.property_dependencies,
        ignore_changes=wanted.ignore_changes,
        protect=wanted.protect,
        retain=wanted.retain,
    )


def intend(bridge: Bridge, address: str, wanted: Registration, old: Record | None) -> Intent:
    """The intent for a resource that the program registers and that was `old` so far."""
    kind = bridge.kind(wanted.type)
    record = record_of(address, wanted)
    if old is not None:
        record = replace(record, inputs=decisions.ignore_changes(record.inputs, old.inputs, wanted.ignore_changes))
    return _planned(bridge, kind, _named(kind, record, old), wanted, old)


def intend_replacement(bridge: Bridge, intent: Intent) -> Intent:
    """The intent to create anew what `intent` found impossible to change."""
    record, rule = intent.record, intent.kind.row.autoname
    tainted = intent.old is not None and intent.old.tainted
    if record.autonamed and rule is not None and not tainted:  # the old one still has its name for a while
        fresh = autoname(rule, record.name, record.inputs)
        record = replace(record, inputs=record.inputs | {record.autonamed: fresh})
    record = replace(record, outputs={}, held=None, id="")
    return _planned(bridge, intent.kind, record, intent.registration, None)


def as_planned(bridge: Bridge, intent: Intent) -> Record:
    """The record as it would be after the plan."""
    return bridge.completed(intent.kind, intent.record, _held(intent.kind, intent.plan.state or {}, b""))


def changes(bridge: Bridge, intent: Intent) -> tuple[Change, ...]:
    """What differs, leaving out what the provider will only compute."""
    kind, planned = intent.kind, intent.plan.state or {}
    computed = {f for f, value in planned.items() if value is UNKNOWN and intent.config.get(f) is None}
    old = {f: value for f, value in (intent.prior or {}).items() if f not in computed}
    new = {f: value for f, value in planned.items() if f not in computed}
    forcing = decisions.replaced_fields(intent.prior, planned, intent.plan.replaces)
    return diff.changes(
        bridge.outputs(kind, old, {}),
        bridge.outputs(kind, new, {}),
        secrets=intent.record.secrets | bridge.sensitive(kind, new),
        replaces=frozenset(map(kind.property_of, forcing)),
    )


def drift(bridge: Bridge, record: Record, fresh: Record) -> tuple[Change, ...]:
    """How the resource, read anew as `fresh`, differs from what the program last asked for.

    The official engine's rule (`RefreshStep` in pkg/resource/deploy/step.go): drift is what an `up` of the unchanged
    program would undo, reported the other way round. What only AWS sets is no drift, nor what `ignore_changes` names.
    Drift that `record` already holds was reported when it was found.
    """
    if record.held is None or fresh.held is None:
        return ()
    kind = bridge.kind(record.type)
    known, now = bridge.known(record.held, kind), fresh.held.fields
    moved = {field for field, value in now.items() if value != known.get(field)}
    if not moved:
        return ()
    config = bridge.config(kind, record.inputs, {})
    if "timeouts" in config:  # options of the program that are no inputs, kept beside the fields
        config["timeouts"] = now.get("timeouts")
    planned = bridge.provider.plan(kind.schema, now, config, fresh.held.private).state or {}
    compared = {field for field in moved if not (planned.get(field) is UNKNOWN and config.get(field) is None)}
    found = diff.changes(
        bridge.outputs(kind, {field: planned.get(field) for field in compared}, {}),
        bridge.outputs(kind, {field: now[field] for field in compared}, {}),
        secrets=fresh.secrets,
    )
    return tuple(change for change in found if not decisions.ignored(change.path, record.ignore_changes))


def _planned(bridge: Bridge, kind: Kind, record: Record, wanted: Registration, old: Record | None) -> Intent:
    config = bridge.config(kind, record.inputs, wanted.timeouts)
    bridge.provider.validate(kind.schema, config)
    held = old.held if old is not None else None
    if held is None:
        prior, plan = None, bridge.provider.plan(kind.schema, None, config)
    else:
        prior = bridge.known(held, kind)
        plan = bridge.provider.plan(kind.schema, prior, config, held.private)
        plan = _ignoring(kind, plan, prior, wanted.ignore_changes)
        record = bridge.completed(kind, record, _held(kind, prior, held.private))
    return Intent(kind=kind, registration=wanted, old=old, record=record, prior=prior, config=config, plan=plan)


def _held(kind: Kind, fields: Fields, private: bytes) -> Held:
    return Held(terraform=kind.schema.name, version=kind.schema.version, fields=fields, private=private)


def _named(kind: Kind, record: Record, old: Record | None) -> Record:
    """`record` with a name if the program gave none: the one it had, or a fresh one."""
    rule = kind.row.autoname
    if rule is None:
        return record
    property_ = kind.property_of(rule.field)
    if property_ in record.inputs or f"{property_}Prefix" in record.inputs:
        return record
    kept = old is not None and old.autonamed == property_
    name = old.inputs[property_] if old is not None and kept else autoname(rule, record.name, record.inputs)
    return replace(record, inputs=record.inputs | {property_: name}, autonamed=property_)


def _ignoring(kind: Kind, plan: Plan, prior: Fields, paths: Sequence[str]) -> Plan:
    """`plan` without changes to ignored top-level properties, those included that only the provider sets."""
    ignored = {kind.names.to_terraform[path] for path in paths if path in kind.names.to_terraform}
    if not ignored or plan.state is None:
        return plan
    state = {field: prior.get(field) if field in ignored else value for field, value in plan.state.items()}
    return replace(plan, state=state, replaces=tuple(path for path in plan.replaces if path[0] not in ignored))
