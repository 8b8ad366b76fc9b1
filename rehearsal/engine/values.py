"""Values between the program and the provider: plain Python data, with one mark for "not known yet".

Pulumi's protocol carries them in a protobuf `Struct` (Pulumi's developer documentation, "Property values": the
signatures are from there), Terraform's in MessagePack.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, final, override

import msgpack
from google.protobuf import struct_pb2

type Fields = dict[str, Any]
"""Attribute or property names with their values: None, bool, int, float, str, list, dict or `UNKNOWN`."""

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 — the protocol's mark, not a secret
ASSET: Final = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE: Final = "0def7320c3a5731c473e5ecbe6d01bc7"
UNKNOWN_MARK: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@final
class Unknown:
    """The one value that a plan does not know yet; compares equal only to itself."""

    @override
    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = Unknown()
_MSGPACK_UNKNOWN = msgpack.ExtType(0, b"\x00")


@dataclass(frozen=True, kw_only=True)
class Properties:
    """Plain values, and the names among them that contain a secret at any depth."""

    values: Fields
    secrets: frozenset[str]


def has_unknown(value: Any) -> bool:
    """Whether `value` is unknown or contains something unknown at any depth."""
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    return value is UNKNOWN or (isinstance(value, list) and any(map(has_unknown, value)))


def pack(value: Any) -> bytes:
    """`value` in Terraform's MessagePack; the inverse of `unpack`."""
    return cast("bytes", msgpack.packb(value, default=_pack_unknown, use_bin_type=True))


def unpack(data: bytes) -> Any:
    """The value in `data`; refined unknowns are plain unknowns, as the refinement is advice only."""
    return msgpack.unpackb(data, raw=False, strict_map_key=False, ext_hook=lambda _code, _data: UNKNOWN)


def from_struct(struct: struct_pb2.Struct) -> Properties:
    """The properties in `struct`."""
    raw = _fields(struct)
    return Properties(
        values={name: _plain(value) for name, value in raw.items()},
        secrets=frozenset(name for name, value in raw.items() if _has_secret(value)),
    )


def to_struct(values: Mapping[str, Any], secrets: frozenset[str] = frozenset()) -> struct_pb2.Struct:
    """`values` as a struct, those named in `secrets` marked as such; the inverse of `from_struct`."""
    struct = struct_pb2.Struct()
    struct.update({name: secret(_marked(v)) if name in secrets else _marked(v) for name, v in values.items()})
    return struct


def secret(value: Any) -> Fields:
    """`value` marked as secret, as Pulumi's protocol does it."""
    return {SIGNATURE: SECRET, "value": value}


def is_asset(value: Any) -> bool:
    """Whether `value` is an asset or an archive."""
    return isinstance(value, Mapping) and value.get(SIGNATURE) in (ASSET, ARCHIVE)


def _pack_unknown(value: object) -> msgpack.ExtType:
    if value is UNKNOWN:
        return _MSGPACK_UNKNOWN
    raise TypeError(f"{value!r} has no form in the provider protocol")


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
