"""From Terraform's values to the program's: the SDK's names, one-element lists flattened as the SDK has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rehearsal.engine import naming, sdk
from rehearsal.engine.schema import Block, NestedBlock, Nesting
from rehearsal.engine.values import UNKNOWN, Fields

_WHOLE_NUMBER = re.compile(r"-?\d+")


def block(block: Block, properties: sdk.Properties, spelled: Mapping[str, str], value: Fields) -> Fields:
    """`value` as the SDK's properties; what is null or unknown to the SDK is left out."""
    names = naming.match(block.names, properties.shapes, spelled)
    decoded: Fields = {}
    for field, inner in value.items():
        name = names.to_sdk.get(field)
        if name is None or inner is None:
            continue
        shape = properties.shapes[name]
        if (attribute := block.attributes.get(field)) is not None:
            plain = _attribute(attribute.type, shape, spelled, inner)
        else:
            plain = _nested(block.blocks[field], shape, spelled, inner)
        if plain is not None:
            decoded[name] = plain
    return decoded


def _nested(nested: NestedBlock, shape: sdk.Shape, spelled: Mapping[str, str], value: Any) -> Any:
    properties = sdk.nested(shape.inner)

    def one(item: Any) -> Any:
        return item if item is UNKNOWN or item is None else block(nested.block, properties, spelled, item)

    if value is UNKNOWN:
        return UNKNOWN
    if nested.many:
        items = [one(item) for item in value]
        return items if shape.kind == "many" else _only(items)
    if nested.nesting is Nesting.MAP:
        return {key: one(item) for key, item in value.items()}
    return one(value)


def _attribute(kind: Any, shape: sdk.Shape | None, spelled: Mapping[str, str], value: Any) -> Any:
    if value is None or value is UNKNOWN:
        return value
    if not isinstance(kind, list):
        return _scalar(shape, value)
    container, inner = kind[0], kind[1]
    if container in ("list", "set"):
        items = [_attribute(inner, _element(shape), spelled, item) for item in value]
        return items if shape is None or shape.kind == "many" else _only(items)
    if container == "map":
        return {key: _attribute(inner, _element(shape), spelled, item) for key, item in value.items()}
    return _object(inner, shape, spelled, value)


def _object(fields: Mapping[str, Any], shape: sdk.Shape | None, spelled: Mapping[str, str], value: Fields) -> Fields:
    properties = sdk.nested(shape.inner if shape else None)
    names = naming.match(fields, properties.shapes, spelled)
    decoded: Fields = {}
    for field, inner in value.items():
        if (name := names.to_sdk.get(field)) is not None:
            plain = _attribute(fields[field], properties.shapes[name], spelled, inner)
            if plain is not None:
                decoded[name] = plain
    return decoded


def _scalar(shape: sdk.Shape | None, value: Any) -> Any:
    """Terraform keeps some numbers and booleans as strings, so that they can be unset; the SDK does not."""
    if shape is None or not isinstance(value, str):
        return value
    if shape.inner is int and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    if shape.inner is bool and value in ("true", "false"):
        return value == "true"
    return None if shape.inner in (int, bool, float) and value == "" else value


def _only(items: list[Any]) -> Any:
    return items[0] if items else None


def _element(shape: sdk.Shape | None) -> sdk.Shape | None:
    if shape is None or shape.kind == "one":
        return shape
    return sdk.shape(shape.inner) if shape.inner is not None else None
