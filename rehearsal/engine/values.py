"""Values as Terraform's protocol carries them: plain Python data plus one mark for "not known yet"."""

from __future__ import annotations

from typing import Any, Final, cast, final, override

import msgpack

type Fields = dict[str, Any]
"""Attribute or property names with their values: None, bool, int, float, str, list, dict or `UNKNOWN`."""


@final
class Unknown:
    """The one value that a plan cannot tell yet; compares equal only to itself."""

    @override
    def __repr__(self) -> str:
        return "<unknown>"

    def __deepcopy__(self, memo: dict[int, object]) -> Unknown:
        return self

    @override
    def __reduce__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()

_UNKNOWN_CODE = 0
_EXTENSION = msgpack.ExtType(_UNKNOWN_CODE, b"\x00")


def has_unknown(value: Any) -> bool:
    """Whether `value` is unknown or holds something unknown at any depth."""
    if value is UNKNOWN:
        return True
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    return isinstance(value, list) and any(map(has_unknown, value))


def pack(value: Any) -> bytes:
    """`value` in the protocol's MessagePack; the inverse of `unpack`."""
    return cast("bytes", msgpack.packb(value, default=_pack_unknown, use_bin_type=True))


def unpack(data: bytes) -> Any:
    """The value in `data`; refined unknowns are plain unknowns, as the refinement is advice only."""
    return msgpack.unpackb(data, raw=False, strict_map_key=False, ext_hook=lambda _code, _data: UNKNOWN)


def _pack_unknown(value: object) -> msgpack.ExtType:
    if value is UNKNOWN:
        return _EXTENSION
    raise TypeError(f"{value!r} has no form in the provider protocol")
