"""The provider's schemas, digested: which attributes and blocks a resource has and how they behave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

from rehearsal.engine import tfplugin5_pb2 as pb
from rehearsal.engine.values import UNKNOWN, Fields


class Nesting(IntEnum):
    """How a nested block repeats (numbers as in the protocol)."""

    SINGLE = 1
    LIST = 2
    SET = 3
    MAP = 4
    GROUP = 5


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """One attribute; `type` is the JSON form of Terraform's type, as `"string"` or `["set", "string"]`."""

    type: Any
    required: bool
    optional: bool
    computed: bool
    sensitive: bool

    @property
    def settable(self) -> bool:
        """Whether a program may give it a value."""
        return self.required or self.optional


@dataclass(frozen=True, kw_only=True)
class NestedBlock:
    """A block inside a block."""

    block: Block
    nesting: Nesting
    max_items: int

    @property
    def many(self) -> bool:
        """Whether its value is a list (of a list or set block)."""
        return self.nesting in (Nesting.LIST, Nesting.SET)


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """A resource's, data source's or nested block's fields."""

    attributes: Mapping[str, Attribute]
    blocks: Mapping[str, NestedBlock]

    @classmethod
    def of(cls, block: pb.Schema.Block) -> Block:
        """The digest of the protocol's form."""
        return cls(
            attributes={
                a.name: Attribute(
                    type=json.loads(a.type),
                    required=a.required,
                    optional=a.optional,
                    computed=a.computed,
                    sensitive=a.sensitive,
                )
                for a in block.attributes
            },
            blocks={
                b.type_name: NestedBlock(
                    block=cls.of(b.block), nesting=Nesting(int(b.nesting)), max_items=int(b.max_items)
                )
                for b in block.block_types
            },
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every field, attributes first."""
        return (*self.attributes, *self.blocks)

    def empty(self) -> Fields:
        """The value with nothing set: the protocol wants every field present."""
        fields: Fields = dict.fromkeys(self.attributes)
        for name, nested in self.blocks.items():
            match nested.nesting:
                case Nesting.LIST | Nesting.SET:
                    fields[name] = []
                case Nesting.MAP:
                    fields[name] = {}
                case Nesting.GROUP:
                    fields[name] = nested.block.empty()
                case Nesting.SINGLE:
                    fields[name] = None
        return fields


@dataclass(frozen=True, kw_only=True)
class Schema:
    """A resource type's or data source's schema and its version."""

    name: str
    version: int
    block: Block


def canonical(block: Block, value: Any) -> Any:
    """`value` with its sets in one order, so that equal states compare equal and look equal on disk."""
    if not isinstance(value, dict):
        return value
    ordered: Fields = {}
    for name, inner in value.items():
        if (attribute := block.attributes.get(name)) is not None:
            ordered[name] = _canonical_attribute(attribute.type, inner)
        elif (nested := block.blocks.get(name)) is not None:
            ordered[name] = _canonical_nested(nested, inner)
        else:
            ordered[name] = inner
    return ordered


def _canonical_nested(nested: NestedBlock, value: Any) -> Any:
    if isinstance(value, list):
        items = [canonical(nested.block, item) for item in value]
        return sorted(items, key=_sort_key) if nested.nesting is Nesting.SET else items
    if isinstance(value, dict) and nested.nesting is Nesting.MAP:
        return {key: canonical(nested.block, item) for key, item in value.items()}
    return canonical(nested.block, value)


def _canonical_attribute(kind: Any, value: Any) -> Any:
    if not isinstance(kind, list) or value is None or value is UNKNOWN:
        return value
    match kind[0]:
        case "set":
            return sorted((_canonical_attribute(kind[1], item) for item in value), key=_sort_key)
        case "list":
            return [_canonical_attribute(kind[1], item) for item in value]
        case "map":
            return {key: _canonical_attribute(kind[1], item) for key, item in value.items()}
        case "object":
            return {key: _canonical_attribute(kind[1].get(key), item) for key, item in value.items()}
        case _:
            return value


def _sort_key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)
