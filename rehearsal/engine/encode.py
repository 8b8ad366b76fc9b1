"""From the program's values to Terraform's: every property must have its place, every value its type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.engine import naming, sdk
from rehearsal.engine.errors import Unsupported
from rehearsal.engine.schema import Block, NestedBlock, Nesting
from rehearsal.engine.values import UNKNOWN, Fields
from rehearsal.engine.wire import is_asset

type Materialise = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Encodes the inputs of one resource type; errors name `label` and the property's path."""

    label: str
    spelled: Mapping[str, str]
    materialise: Materialise  # an asset or archive -> the path of a file with its content

    def block(self, block: Block, properties: sdk.Properties, value: Mapping[str, Any], path: str = "") -> Fields:
        """`value` as a whole block, every field present; raises `Unsupported` for what has no place in it."""
        names = naming.match(block.names, properties.shapes, self.spelled)
        fields = block.empty()
        for name, inner in value.items():
            if inner is None:
                continue
            here = f"{path}{name}"
            field = names.to_terraform.get(name)
            if field is None:
                raise Unsupported(f"{self.label}: the AWS provider found here has no input {here!r}.")
            shape = properties.shapes[name]
            if (attribute := block.attributes.get(field)) is None:
                fields[field] = self._nested(block.blocks[field], shape, inner, here)
            elif attribute.settable:
                fields[field] = self.attribute(attribute.type, shape, inner, here)
            else:
                raise Unsupported(f"{self.label}: {here!r} is an output, it cannot be set.")
        return fields

    def _nested(self, nested: NestedBlock, shape: sdk.Shape, value: Any, path: str) -> Any:
        properties = sdk.nested(shape.inner)
        if value is UNKNOWN:
            return UNKNOWN

        def one(item: Any, where: str) -> Any:
            if item is UNKNOWN:
                return UNKNOWN
            if not isinstance(item, Mapping):
                raise self._wrong(where, "an object", item)
            return self.block(nested.block, properties, item, f"{where}.")

        if nested.nesting is Nesting.MAP:
            if not isinstance(value, Mapping):
                raise self._wrong(path, "a map", value)
            return {key: one(item, f"{path}.{key}") for key, item in value.items()}
        if nested.many:
            items = value if isinstance(value, list) else [value]
            return [one(item, f"{path}[{i}]") for i, item in enumerate(items)]
        return one(value, path)

    def attribute(self, kind: Any, shape: sdk.Shape | None, value: Any, path: str) -> Any:
        """`value` as an attribute of Terraform type `kind`."""
        if value is None or value is UNKNOWN:
            return value
        if isinstance(kind, list):
            return self._collection(kind, shape, value, path)
        match kind:
            case "string":
                return self._string(value, path)
            case "number":
                return self._number(value, path)
            case "bool":
                return self._bool(value, path)
            case _:
                raise Unsupported(f"{self.label}: {path!r} has Terraform type {kind!r}, which the engine cannot send.")

    def _collection(self, kind: list[Any], shape: sdk.Shape | None, value: Any, path: str) -> Any:
        container, inner = kind[0], kind[1]
        if container in ("list", "set"):
            items = value if isinstance(value, list) else [value]
            element = _element(shape)
            return [self.attribute(inner, element, item, f"{path}[{i}]") for i, item in enumerate(items)]
        if not isinstance(value, Mapping):
            raise self._wrong(path, "an object" if container == "object" else "a map", value)
        if container == "map":
            return {key: self.attribute(inner, _element(shape), item, f"{path}.{key}") for key, item in value.items()}
        return self._object(inner, shape, value, path)

    def _object(
        self, fields: Mapping[str, Any], shape: sdk.Shape | None, value: Mapping[str, Any], path: str
    ) -> Fields:
        properties = sdk.nested(shape.inner if shape else None)
        names = naming.match(fields, properties.shapes, self.spelled)
        encoded: Fields = dict.fromkeys(fields)
        for name, item in value.items():
            field = names.to_terraform.get(name)
            if field is None:
                raise Unsupported(f"{self.label}: the AWS provider found here has no input {path}.{name!r}.")
            encoded[field] = self.attribute(fields[field], properties.shapes[name], item, f"{path}.{name}")
        return encoded

    def _string(self, value: Any, path: str) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return str(value)
        if is_asset(value):
            return self.materialise(value)
        if isinstance(value, Mapping | list):  # policies may be given as objects; AWS takes them as JSON
            return json.dumps(value, separators=(",", ":"))
        raise self._wrong(path, "a string", value)

    def _number(self, value: Any, path: str) -> int | float:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                raise self._wrong(path, "a number", value) from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(path, "a number", value)
        return int(value) if value == int(value) else value

    def _bool(self, value: Any, path: str) -> bool:
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return value == "true"
        raise self._wrong(path, "true or false", value)

    def _wrong(self, path: str, expected: str, value: Any) -> Unsupported:
        # The value itself may be a secret: only its type is told.
        return Unsupported(f"{self.label}: {path!r} must be {expected}, and is a {type(value).__name__}.")


def _element(shape: sdk.Shape | None) -> sdk.Shape | None:
    """The shape of what a list, set or map of this shape holds."""
    if shape is None or shape.kind == "one":
        return shape
    return sdk.shape(shape.inner) if shape.inner is not None else None
