"""Values across the border: every property must have its field, every value its type, and back.

One-element lists are flattened as the SDK has them, and names are the SDK's on one side and Terraform's on the other.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.engine.errors import Unsupported
from rehearsal.engine.provider.schema import Block, fields_of
from rehearsal.engine.translation import names
from rehearsal.engine.translation.names import Shape, Shapes
from rehearsal.engine.values import UNKNOWN, Fields, is_asset

_WHOLE_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True, kw_only=True)
class Codec:
    """Translates the values of one type; errors name `label` and the property's path.

    `strict`: a property without a field, or whose field cannot be set, is an error; otherwise it is left out, or taken
    as it is. That is for outputs, which another version of the provider may have given.
    """

    label: str
    spelled: Mapping[str, str]
    materialise: Callable[[Mapping[str, Any]], str]  # an asset -> the path of a file with its content
    strict: bool = True

    def encode(self, block: Block, shapes: Shapes, value: Mapping[str, Any]) -> Fields:
        """`value` as a whole block, every field present; raises `Unsupported` for what has no place in it."""
        return self._encode_object(block, shapes, value, "")

    def decode(self, block: Block, shapes: Shapes, value: Fields) -> Fields:
        """`value` as the SDK's properties; what is null or that the SDK does not have is left out."""
        return self._decode_object(block.types, shapes, value)

    def _encode_object(self, kind: Any, shapes: Shapes, value: Any, path: str) -> Fields:
        if not isinstance(value, Mapping):
            raise self._wrong(path, "an object", value)
        types = fields_of(kind) or {}
        known = names.match(types, shapes, self.spelled)
        fields = kind.empty() if isinstance(kind, Block) else dict.fromkeys(types)
        for name, inner in value.items():
            if inner is None:
                continue
            here = f"{path}.{name}" if path else name
            field = known.to_terraform.get(name)
            if field is None and not self.strict:
                continue
            if field is None:
                raise Unsupported(f"{self.label}: the AWS provider found here has no input {here!r}.")
            settable = not isinstance(kind, Block) or field not in kind.attributes or kind.attributes[field].settable
            if self.strict and not settable:
                raise Unsupported(f"{self.label}: {here!r} is an output, it cannot be set.")
            fields[field] = self._encode(types[field], shapes[name], inner, here)
        return fields

    def _encode(self, kind: Any, shape: Shape | None, value: Any, path: str) -> Any:
        if value is UNKNOWN or (value is None and not isinstance(kind, Block)):
            return value
        if fields_of(kind) is not None:
            return self._encode_object(kind, names.nested(shape), value, path)
        match kind:
            case ["list" | "set", inner]:
                items, element = value if isinstance(value, list) else [value], names.element(shape)
                return [self._encode(inner, element, item, f"{path}[{i}]") for i, item in enumerate(items)]
            case ["map", inner]:
                if not isinstance(value, Mapping):
                    raise self._wrong(path, "a map", value)
                return {key: self._encode(inner, names.element(shape), v, f"{path}.{key}") for key, v in value.items()}
            case "string":
                return self._string(value, path)
            case "number":
                return self._number(value, path)
            case "bool":
                return self._bool(value, path)
            case _:
                raise Unsupported(f"{self.label}: {path!r} has Terraform type {kind!r}, which the engine cannot send.")

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

    def _decode_object(self, types: Mapping[str, Any], shapes: Shapes, value: Fields) -> Fields:
        known = names.match(types, shapes, self.spelled)
        decoded: Fields = {}
        for field, inner in value.items():
            if (name := known.to_sdk.get(field)) is not None:
                plain = self._decode(types[field], shapes[name], inner)
                if plain is not None:
                    decoded[name] = plain
        return decoded

    def _decode(self, kind: Any, shape: Shape | None, value: Any) -> Any:
        if value is None or value is UNKNOWN:
            return value
        if (fields := fields_of(kind)) is not None:
            return self._decode_object(fields, names.nested(shape), value)
        match kind:
            case ["list" | "set", inner]:
                items = [self._decode(inner, names.element(shape), item) for item in value]
                return items if shape is None or shape.kind == "many" else items[0] if items else None
            case ["map", inner]:
                return {key: self._decode(inner, names.element(shape), item) for key, item in value.items()}
            case _:
                return _scalar(shape, value)


def _scalar(shape: Shape | None, value: Any) -> Any:
    """Terraform keeps some numbers and booleans as strings, so that they can be unset; the SDK does not."""
    if shape is None or not isinstance(value, str):
        return value
    if shape.inner is int and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    if shape.inner is bool and value in ("true", "false"):
        return value == "true"
    return None if shape.inner in (int, bool, float) and value == "" else value
