"""The provider's schemas: the fields of a resource and how they behave; the state that a client proposes for a plan."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

from rehearsal.engine.provider import tfplugin5_pb2 as pb
from rehearsal.engine.values import UNKNOWN, Fields


class Nesting(IntEnum):
    """How a nested block repeats (numbers as in the protocol). The AWS provider has no maps and groups of blocks."""

    SINGLE = 1
    LIST = 2
    SET = 3


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """One attribute; `type` is the JSON form of Terraform's type, as `"string"` or `["set", "string"]`."""

    type: Any
    required: bool = False
    optional: bool = False
    computed: bool = False
    sensitive: bool = False

    @property
    def settable(self) -> bool:
        """Whether a program may set it."""
        return self.required or self.optional


@dataclass(frozen=True, kw_only=True)
class NestedBlock:
    """A block inside a block."""

    block: "Block"
    nesting: Nesting

    @property
    def type(self) -> Any:
        """Its type in the form of an attribute's: the block itself, or `["list", block]` or `["set", block]`."""
        return self.block if self.nesting is Nesting.SINGLE else [self.nesting.name.lower(), self.block]


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """The fields of a resource, a data source or a nested block."""

    attributes: Mapping[str, Attribute]
    blocks: Mapping[str, NestedBlock]

    @classmethod
    def of(cls, block: pb.Schema.Block) -> "Block":
        """The block in the protocol's form."""
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
                b.type_name: NestedBlock(block=cls.of(b.block), nesting=Nesting(int(b.nesting)))
                for b in block.block_types
            },
        )

    @cached_property
    def types(self) -> Mapping[str, Any]:
        """The type of every field, attributes first."""
        return {name: field.type for name, field in (*self.attributes.items(), *self.blocks.items())}

    def empty(self) -> Fields:
        """The value with nothing set: the protocol wants every field present."""
        lists = {name for name, nested in self.blocks.items() if nested.nesting is not Nesting.SINGLE}
        return {name: [] if name in lists else None for name in self.types}


@dataclass(frozen=True, kw_only=True)
class Schema:
    """A resource type's or data source's schema and its version."""

    name: str
    version: int
    block: Block


def fields_of(kind: Any) -> Mapping[str, Any] | None:
    """The types of the fields of an object type or block; None for any other type."""
    if isinstance(kind, Block):
        return kind.types
    return kind[1] if isinstance(kind, list) and kind[0] == "object" else None


def canonical(kind: Any, value: Any) -> Any:
    """`value` of type `kind` with its sets in one order: equal states compare equal and look equal on disk.

    Blocks that the provider leaves out are none, not null, as in every client of the protocol
    (NormalizeObjectFromLegacySDK of Terraform): the AWS provider would compute a null block anew in each plan.
    """
    if (fields := fields_of(kind)) is not None:
        if not isinstance(value, dict):
            return value
        repeated = kind.empty() if isinstance(kind, Block) else {}
        return {
            name: repeated.get(name) if inner is None else canonical(fields.get(name), inner)
            for name, inner in value.items()
        }
    match kind, value:
        case ["set", inner], list():
            return sorted((canonical(inner, item) for item in value), key=_sort_key)
        case ["list", inner], list():
            return [canonical(inner, item) for item in value]
        case ["map", inner], dict():
            return {key: canonical(inner, item) for key, item in value.items()}
        case _:
            return value


def _sort_key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def proposed_new(block: Block, prior: Fields | None, config: Fields) -> Fields:
    """The state to propose for `config`, given the `prior` state (None for a resource to be created).

    A port of the rules of every client of the protocol (Terraform's "resource instance change lifecycle" page): what
    the program sets wins, what the provider computes is carried over, and an element of a set keeps the computed parts
    of the old element that it agrees with in everything the program set.
    """
    before = block.empty() if prior is None else prior
    proposed: Fields = {}
    for name, attribute in block.attributes.items():
        wanted = config.get(name)
        keep = attribute.computed and (not attribute.optional or wanted is None)
        proposed[name] = before.get(name) if keep else wanted
    for name, nested in block.blocks.items():
        proposed[name] = _proposed_nested(nested, before.get(name), config.get(name))
    return proposed


def _proposed_nested(nested: NestedBlock, prior: Any, config: Any) -> Any:
    if config is None or config is UNKNOWN:
        return config
    match nested.nesting:
        case Nesting.SINGLE:
            return _proposed_element(nested.block, prior, config)
        case Nesting.LIST:
            before = _known(prior) or []
            return [
                _proposed_element(nested.block, before[i] if i < len(before) else None, item)
                for i, item in enumerate(config)
            ]
        case Nesting.SET:
            left = list(_known(prior) or [])
            return [_proposed_element(nested.block, _take_partner(nested.block, left, item), item) for item in config]


def _proposed_element(block: Block, prior: Any, config: Any) -> Any:
    return config if config is UNKNOWN else proposed_new(block, _known(prior), config)


def _take_partner(block: Block, left: list[Any], config: Any) -> Any:
    """Remove from `left` an element that can have come from `config`, and return it; None if there is none."""
    partner = next((old for old in left if could_be(block, old, config)), None)
    if partner is not None:
        left.remove(partner)
    return partner


def _known(value: Any) -> Any:
    return None if value is UNKNOWN else value


def could_be(block: Block, prior: Any, config: Any) -> bool:
    """Whether the state element `prior` can have come from `config`: equal but for what the provider computes."""
    if not isinstance(prior, dict) or not isinstance(config, dict):
        return False
    for name, attribute in block.attributes.items():
        wanted = config.get(name)
        if not (wanted is None and attribute.computed) and wanted != prior.get(name):
            return False
    return all(_nested_could_be(nested, prior.get(name), config.get(name)) for name, nested in block.blocks.items())


def _nested_could_be(nested: NestedBlock, prior: Any, config: Any) -> bool:
    if config is UNKNOWN or prior is UNKNOWN:
        return False
    if nested.nesting is Nesting.SINGLE:
        return prior is config if config is None or prior is None else could_be(nested.block, prior, config)
    old, new = list(prior or []), list(config or [])
    if len(old) != len(new):
        return False
    if nested.nesting is Nesting.LIST:
        return all(could_be(nested.block, *pair) for pair in zip(old, new, strict=True))
    return all(_take_partner(nested.block, old, item) is not None for item in new)
