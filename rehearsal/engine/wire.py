"""Values as Pulumi's protocol carries them in a protobuf `Struct`: unknowns, secrets, assets and archives.

The signatures are the protocol's (Pulumi's developer documentation, "Property values").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import struct_pb2

from rehearsal.engine.values import UNKNOWN, Fields

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 — the protocol's mark, not a secret
ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
UNKNOWN_MARK: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@dataclass(frozen=True, kw_only=True)
class Properties:
    """Plain values, and the names among them that hold a secret at any depth."""

    values: Fields
    secrets: frozenset[str]


def read(struct: struct_pb2.Struct) -> Properties:
    """The properties in `struct`."""
    raw = _fields(struct)
    return Properties(
        values={name: _plain(value) for name, value in raw.items()},
        secrets=frozenset(name for name, value in raw.items() if _has_secret(value)),
    )


def write(values: Mapping[str, Any], secrets: frozenset[str] = frozenset()) -> struct_pb2.Struct:
    """`values` as a struct, those named in `secrets` marked as such; the inverse of `read`."""
    struct = struct_pb2.Struct()
    struct.update(
        {
            name: {SIGNATURE: SECRET, "value": _marked(value)} if name in secrets else _marked(value)
            for name, value in values.items()
        }
    )
    return struct


def is_asset(value: Any) -> bool:
    """Whether `value` is an asset or an archive."""
    return isinstance(value, Mapping) and value.get(SIGNATURE) in (ASSET, ARCHIVE)


def _fields(struct: struct_pb2.Struct) -> Fields:
    """In the order of their names: a struct has none, and what is built from it should not change by itself."""
    return {name: _value(struct.fields[name]) for name in sorted(struct.fields)}


def _value(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return _fields(value.struct_value)
        case "list_value":
            return [_value(inner) for inner in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return _plain(value.get("value"))
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return UNKNOWN if value == UNKNOWN_MARK else value


def _has_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get(SIGNATURE) == SECRET or any(map(_has_secret, value.values()))
    return isinstance(value, list) and any(map(_has_secret, value))


def _marked(value: Any) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_MARK
    if isinstance(value, Mapping):
        return {name: _marked(inner) for name, inner in value.items()}
    return [_marked(inner) for inner in value] if isinstance(value, list) else value
