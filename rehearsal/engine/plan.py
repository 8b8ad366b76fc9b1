"""From a declared resource to the step to take: inputs, names, the provider's plan, the difference.

Nothing here changes the cloud or the state.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rehearsal.engine.display import SECRET_TEXT, UNKNOWN_TEXT, Change
from rehearsal.engine.provider.client import Path, Plan
from rehearsal.engine.state import Record
from rehearsal.engine.translation.resources import Kind, Resources, autoname
from rehearsal.engine.values import UNKNOWN, Fields

type Decision = Literal["same", "create", "update", "replace"]

_ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A resource as the program declares it: `record` is the future state, before anything is known of it."""

    record: Record
    aliases: tuple[str, ...] = ()
    delete_before_replace: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A resource on its way: what it was, what is wanted, and the provider's plan between the two.

    `record` is the future state if nothing has to be done; `prior` is None for a resource to be created.
    """

    kind: Kind
    old: Record | None
    record: Record
    prior: Fields | None
    config: Fields
    plan: Plan

    @property
    def decision(self) -> Decision:
        """The step to take."""
        tainted = self.old is not None and self.old.tainted
        return decide(self.prior, self.plan.state, self.plan.replaces, tainted=tainted)


def intend(resources: Resources, goal: Record, old: Record | None) -> Intent:
    """The intent for a resource that the program registers as `goal` and that was `old` so far."""
    kind = resources.kind(goal.type)
    return _planned(resources, kind, named(kind, goal, old), old)


def intend_replacement(resources: Resources, intent: Intent) -> Intent:
    """The intent to replace a resource that `intent` cannot update."""
    record, rule = intent.record, intent.kind.row.autoname
    tainted = intent.old is not None and intent.old.tainted
    if record.autonamed and rule is not None and not tainted:  # the old one still has its name for a while
        record = replace(record, inputs=record.inputs | {record.autonamed: autoname(rule, record.name)})
    return _planned(resources, intent.kind, replace(record, outputs={}, provider_state=None, id=""), None)


def as_planned(resources: Resources, intent: Intent) -> Record:
    """The record as it would be after the plan."""
    return resources.completed(intent.kind, intent.record, intent.plan.state or {}, b"")


def changes(resources: Resources, intent: Intent) -> tuple[Change, ...]:
    """What differs, leaving out what the provider will only compute."""
    kind, planned = intent.kind, intent.plan.state or {}
    computed = {f for f, value in planned.items() if value is UNKNOWN and intent.config.get(f) is None}
    old = {f: value for f, value in (intent.prior or {}).items() if f not in computed}
    new = {f: value for f, value in planned.items() if f not in computed}
    return diff(
        resources.outputs(kind, old, {}),
        resources.outputs(kind, new, {}),
        secrets=intent.record.secrets | resources.sensitive(kind, new),
        replaces=frozenset(map(kind.property_of, replaced_fields(intent.prior, planned, intent.plan.replaces))),
    )


def drift(resources: Resources, record: Record, fresh: Record) -> tuple[Change, ...]:
    """How the resource, just read as `fresh`, differs from what the program last declared.

    The official engine's rule (`RefreshStep` in pkg/resource/deploy/step.go): drift is what an `up` of the unchanged
    program would undo, reported the other way round. What only AWS sets is not drift. Drift that `record` already
    holds was reported when it was found.
    """
    if record.provider_state is None or fresh.provider_state is None:
        return ()
    kind = resources.kind(record.type)
    known, now = resources.known(record.provider_state, kind), fresh.provider_state.fields
    moved = {field for field, value in now.items() if value != known.get(field)}
    if not moved:
        return ()
    config = resources.config(kind, record.inputs)
    planned = resources.provider.plan(kind.schema, now, config, fresh.provider_state.private).state or {}
    compared = {field for field in moved if not (planned.get(field) is UNKNOWN and config.get(field) is None)}
    return diff(
        resources.outputs(kind, {field: planned.get(field) for field in compared}, {}),
        resources.outputs(kind, {field: now[field] for field in compared}, {}),
        secrets=fresh.secrets,
    )


def would_be_replaced(resources: Resources, record: Record, unknown: Sequence[str]) -> bool:
    """Whether `record` could not live through a change of its inputs `unknown`."""
    if record.provider_state is None:
        return False
    kind = resources.kind(record.type)
    prior = resources.known(record.provider_state, kind)
    config = resources.config(kind, record.inputs | dict.fromkeys(unknown, UNKNOWN))
    plan = resources.provider.plan(kind.schema, prior, config, record.provider_state.private)
    return decide(prior, plan.state, plan.replaces) == "replace"


def _planned(resources: Resources, kind: Kind, record: Record, old: Record | None) -> Intent:
    config = resources.config(kind, record.inputs)
    resources.provider.validate(kind.schema, config)
    state = old.provider_state if old is not None else None
    prior = None if state is None else resources.known(state, kind)
    plan = resources.provider.plan(kind.schema, prior, config, b"" if state is None else state.private)
    if state is not None and prior is not None:
        record = resources.completed(kind, record, prior, state.private)
    return Intent(kind=kind, old=old, record=record, prior=prior, config=config, plan=plan)


def named(kind: Kind, record: Record, old: Record | None) -> Record:
    """`record` with a name if the program gave none: the one it had, or a fresh one."""
    rule = kind.row.autoname
    if rule is None:
        return record
    property_ = kind.property_of(rule.field)
    if property_ in record.inputs or f"{property_}Prefix" in record.inputs:
        return record
    kept = old is not None and old.autonamed == property_
    name = old.inputs[property_] if old is not None and kept else autoname(rule, record.name)
    return replace(record, inputs=record.inputs | {property_: name}, autonamed=property_)


def decide(
    prior: Fields | None, planned: Fields | None, replaces: Sequence[Path], *, tainted: bool = False
) -> Decision:
    """The step from `prior` to `planned`.

    A replacement if a path in `replaces` really differs, or if the creation had failed half way (`tainted`).
    """
    if prior is None or planned is None:
        return "create"
    if tainted:
        return "replace"
    if prior == planned:
        return "same"
    return "replace" if replaced_fields(prior, planned, replaces) else "update"


def replaced_fields(prior: Fields | None, planned: Fields | None, replaces: Sequence[Path]) -> frozenset[str]:
    """The top-level fields that force a replacement."""
    return frozenset(str(path[0]) for path in replaces if path and at(prior, path) != at(planned, path))


def deletes_before_replacing(kind: Kind, old: Record, inputs: Mapping[str, Any], delete_first: bool | None) -> bool:
    """Whether the old resource is deleted first: by the program's option, or because both would have one name.

    The bridge's rule: a name that the program chose and did not change cannot exist twice.
    """
    if delete_first is not None:
        return delete_first
    if old.tainted:
        return True
    if kind.row.autoname is None:
        return False
    name = kind.property_of(kind.row.autoname.field)
    return name in inputs and old.autonamed != name and old.inputs.get(name) == inputs[name]


def at(value: Any, path: Path) -> Any:
    """The value at `path` in `value`; None if there is none."""
    for step in path:
        if isinstance(value, list):
            value = dict(enumerate(value))
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def diff(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    secrets: frozenset[str] = frozenset(),
    replaces: frozenset[str] = frozenset(),
) -> tuple[Change, ...]:
    """What differs from `old` to `new`, sorted by path; values of top-level names in `secrets` are not shown.

    `replaces` names the top-level properties that cannot change in place.
    """
    found: list[Change] = []
    for path, before, after in sorted(_leaves(old, new, ""), key=lambda leaf: leaf[0]):
        top = path.split(".", 1)[0].split("[", 1)[0]
        kind = "add" if before is _ABSENT else "delete" if after is _ABSENT else "update"
        found.append(
            Change(
                path=path,
                kind=f"{kind}-replace" if top in replaces else kind,
                old=_shown(before, top in secrets),
                new=_shown(after, top in secrets),
            )
        )
    return tuple(found)


def shown(values: Mapping[str, Any], secrets: frozenset[str]) -> Fields:
    """`values` as they may be shown: secrets and unknowns by their marks."""
    return {name: _shown(value, name in secrets) for name, value in values.items()}


def _leaves(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if old is UNKNOWN or new is UNKNOWN:
        if old is not new:
            yield path, old, new
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in {**old, **new}:
            here = f"{path}.{name}" if path else str(name)
            yield from _leaves(old.get(name, _ABSENT), new.get(name, _ABSENT), here)
    elif isinstance(old, list) and isinstance(new, list):
        for i in range(max(len(old), len(new))):
            before = old[i] if i < len(old) else _ABSENT
            after = new[i] if i < len(new) else _ABSENT
            yield from _leaves(before, after, f"{path}[{i}]")
    elif old != new and not (_empty(old) and _empty(new)):
        yield path, old, new


def _empty(value: Any) -> bool:
    """Whether it counts as "not set": the bridge does not distinguish an absent list from an empty one."""
    return value is _ABSENT or value is None or value in ({}, [])


def _shown(value: Any, secret: bool) -> Any:
    if value is _ABSENT or value is None:
        return None
    if secret:
        return SECRET_TEXT
    if value is UNKNOWN:
        return UNKNOWN_TEXT
    if isinstance(value, Mapping):
        return {name: _shown(inner, False) for name, inner in value.items()}
    return [_shown(inner, False) for inner in value] if isinstance(value, list) else value
