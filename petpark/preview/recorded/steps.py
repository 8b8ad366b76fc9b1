"""A program's declarations compared with a record, in the format of `pulumi preview --json`. Pure.

Only inputs are compared, which the program declares, not outputs that AWS computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from petpark.preview.pulumi_json import leaves
from petpark.preview.recorded.record import RecordedResource

_DEFAULTS: Final = "__defaults"
"""Key with the names of inputs that the official provider filled in (`defaultsKey` of pulumi-terraform-bridge)."""
_ALL_TAGS: Final = "tagsAll"
_REGION: Final = "region"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A declared resource: inputs in Pulumi's JSON, secrets as `[secret]`.

    `aliases` are URNs under which it may be recorded; `refers` are the URNs of resources that its inputs refer to.
    """

    urn: str
    type: str
    custom: bool
    inputs: Mapping[str, Any]
    protect: bool = False
    retain: bool = False
    aliases: tuple[str, ...] = ()
    refers: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, kw_only=True)
class ProviderSettings:
    """What the stack's provider adds to every resource without a declaration."""

    region: str = ""
    default_tags: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The difference of one resource: inputs before and after, without defaults; `names`: the top-level names."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    names: frozenset[str]


def recorded_as(declared: Declared, by_urn: Mapping[str, RecordedResource]) -> RecordedResource | None:
    """Returns the recorded resource of `declared`, by its URN or an alias."""
    return next((by_urn[urn] for urn in (declared.urn, *declared.aliases) if urn in by_urn), None)


def difference(old: RecordedResource, new: Declared, provider: ProviderSettings) -> Difference:
    """Returns the difference between record and declaration; empty for a sealed resource."""
    if old.sealed:
        return Difference(before=new.inputs, after=new.inputs, names=frozenset())
    # Since version 7 the official provider writes its region into each resource.
    given = {_ALL_TAGS: old.inputs.get(_ALL_TAGS), _REGION: provider.region}
    inputs = {name: value for name, value in old.inputs.items() if name in new.inputs or given.get(name) != value}
    before, after = dict(_without_defaults(inputs, new.inputs)), dict(new.inputs)
    all_tags = old.outputs.get(_ALL_TAGS)
    if isinstance(all_tags, Mapping):
        for side, tags in ((before, all_tags), (after, provider.default_tags)):
            side |= {_ALL_TAGS: more} if (more := _without(tags, side.get("tags"))) else {}
    shown = leaves(before), leaves(after)
    changed = {path for path in shown[0].keys() | shown[1].keys() if shown[0].get(path) != shown[1].get(path)}
    return Difference(before=before, after=after, names=frozenset(map(top, changed)))


def document(
    declared: Sequence[Declared],
    recorded: Sequence[RecordedResource],
    *,
    provider: ProviderSettings,
    forcing: Mapping[str, frozenset[str]],
    errors: Sequence[str] = (),
) -> dict[str, Any]:
    """Returns the preview. `forcing`: by URN, the top-level inputs that force a replacement.

    With `errors` the declaration is incomplete, so no resource counts as deleted.
    """
    by_urn = {each.urn: each for each in recorded}
    steps: list[dict[str, Any]] = []
    kept: set[str] = set()
    for new in sorted(declared, key=lambda each: each.urn):
        old = recorded_as(new, by_urn)
        kept |= {old.urn} if old is not None else set()
        steps += _steps(old, new, provider, forcing.get(new.urn, frozenset()))
    if not errors:
        steps += [
            _step("delete", each.urn, oldState=_old(each, each.inputs)) for each in recorded if each.urn not in kept
        ]
    return {
        "steps": steps,
        "diagnostics": [{"severity": "error", "message": each} for each in errors],
        "changeSummary": {"same": sum(step["op"] == "same" for step in steps)},
    }


def _steps(
    old: RecordedResource | None, new: Declared, provider: ProviderSettings, forcing: frozenset[str]
) -> Iterator[dict[str, Any]]:
    if old is None:
        yield _step("create", new.urn, newState=_new(new, new.inputs))
        return
    found = difference(old, new, provider)
    both = {"oldState": _old(old, found.before), "newState": _new(new, found.after)}
    reasons = sorted(forcing & found.names)
    if not found.names:
        yield _step("same", new.urn, **both)
    elif not reasons:
        yield _step("update", new.urn, **both)
    else:
        yield _step("create-replacement", new.urn, replaceReasons=reasons, **both)
        yield _step("replace", new.urn, replaceReasons=reasons, **both)
        yield _step("delete-replaced", new.urn, oldState=both["oldState"])


def _step(op: str, urn: str, **states: Any) -> dict[str, Any]:
    return {"op": op, "urn": urn, **states}


def _old(old: RecordedResource, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"urn": old.urn, "type": old.type, "custom": old.custom, "protect": old.protect, "inputs": inputs}


def _new(new: Declared, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "urn": new.urn,
        "type": new.type,
        "custom": new.custom,
        "protect": new.protect,
        "retainOnDelete": new.retain,
        "inputs": inputs,
        "propertyDependencies": {name: list(urns) for name, urns in new.refers.items()},
    }


def _without_defaults(recorded: Any, declared: Any) -> Any:
    """Returns `recorded` without the provider's defaults that the program does not declare."""
    if isinstance(recorded, Mapping):
        given: Mapping[str, Any] = declared if isinstance(declared, Mapping) else {}
        defaults = set(recorded.get(_DEFAULTS) or ())
        return {
            name: _without_defaults(value, given.get(name))
            for name, value in recorded.items()
            if name != _DEFAULTS and (name in given or name not in defaults)
        }
    if isinstance(recorded, list):
        others: list[Any] = declared if isinstance(declared, list) else []
        padded = [*others, *[None] * len(recorded)]
        return [_without_defaults(each, other) for each, other in zip(recorded, padded, strict=False)]
    return recorded


def _without(tags: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """Returns `tags` without the `given` ones."""
    names: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    return {name: value for name, value in tags.items() if name not in names}


def top(path: str) -> str:
    """Returns the top-level property of a path."""
    return path.split(".", 1)[0].split("[", 1)[0]
