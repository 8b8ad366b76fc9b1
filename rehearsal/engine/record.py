"""What the state knows of one resource, and its form in the state file."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from rehearsal.engine.errors import StateUnreadable
from rehearsal.engine.seal import Seal
from rehearsal.engine.values import Fields

type Pending = Literal["", "create", "update", "delete"]
"""A step that was begun and not yet seen to end."""

STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Held:
    """A provider resource as the provider last told it."""

    terraform: str
    version: int  # of the schema
    fields: Fields
    private: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One resource of a stack. `held` is None for components, and until a creation has ended.

    `secrets` names the properties that are secret; `planned` holds what a pending creation asked for, by which it is
    found again; `outputs` are those of components and the stack (a provider resource's follow from `held`).
    """

    urn: str
    type: str
    name: str
    parent: str = ""
    custom: bool = True
    id: str = ""
    inputs: Fields = field(default_factory=dict)
    outputs: Fields = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    autonamed: str = ""  # the input that the engine named
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignore_changes: tuple[str, ...] = ()
    protect: bool = False
    retain: bool = False
    tainted: bool = False
    pending: Pending = ""
    planned: Fields = field(default_factory=dict)
    held: Held | None = None

    @property
    def provided(self) -> bool:
        """Whether a provider manages it (components and the stack exist only in the state)."""
        return self.custom

    def settled(self, **changes: Any) -> Record:
        """A copy with `changes` and nothing pending."""
        return replace(self, pending="", planned={}, **changes)


# What may carry secrets; sealed as one when the record has any.
_BODY = ("id", "inputs", "outputs", "planned", "held")


def to_json(record: Record, seal: Seal) -> str:
    """The record as JSON text; everything that could hold a secret is sealed if the record has one."""
    fields = asdict(record)
    fields["secrets"] = sorted(record.secrets)
    if record.held is not None:
        fields["held"]["private"] = base64.b64encode(record.held.private).decode()
    if record.secrets:
        body = json.dumps({name: fields.pop(name) for name in _BODY})
        fields["sealed"] = base64.b64encode(seal.close(body.encode(), context=record.urn)).decode()
    return json.dumps(fields)


def from_json(fields: dict[str, Any], seal: Seal) -> Record:
    """The record that `to_json` wrote; raises `StateUnreadable` when it is not one or cannot be opened."""
    try:
        if (sealed := fields.pop("sealed", None)) is not None:
            fields |= json.loads(seal.open(base64.b64decode(sealed), context=fields["urn"]))
        if (held := fields["held"]) is not None:
            fields["held"] = Held(**held | {"private": base64.b64decode(held["private"])})
        fields["secrets"] = frozenset(fields["secrets"])
        fields["dependencies"] = tuple(fields["dependencies"])
        fields["ignore_changes"] = tuple(fields.get("ignore_changes", ()))
        fields["property_dependencies"] = {k: tuple(v) for k, v in fields["property_dependencies"].items()}
        return Record(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise StateUnreadable(f"A resource in the state file is damaged: {error}.") from error
