"""Changes that keep what a reader checks first: JSON stays JSON, checksums are right again.

Bytes that are changed at random end at the first check, and what lies behind it is never reached.
"""

import binascii
import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

type Mutate = Callable[[bytes, random.Random], bytes]

_BLOCK = 512
_CHECKSUM = slice(148, 156)
_PNG = b"\x89PNG\r\n\x1a\n"
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**400, float("nan"),
    float("inf"), "", " ", "0", "a" * 300, "ż", "\ud800", "\x00", "../a", "/", "e30=", [], {}, [[]], [None], {"": None},
    "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00.000000Z", "2030-01-01T00:00:00.000000+23:59",
    "a" * 64, "0" * 32,
)  # fmt: skip


def by_bytes(data: bytes, source: random.Random) -> bytes:
    """Change, remove, insert or copy bytes in one to four places."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4))):
        place, size = source.randint(0, len(changed)), source.choice((1, 1, 2, 4, 16))
        match source.randrange(4):
            case 0:
                changed[place : place + size] = source.randbytes(size)
            case 1:
                del changed[place : place + size]
            case 2:
                changed[place:place] = source.choice((b"\0", b"\xff", b"\n", b'"', b"9" * size, source.randbytes(size)))
            case _:
                start = source.randint(0, len(changed))
                changed[place : place + size] = changed[start : start + size]
    return bytes(changed)


def documents(data: bytes, source: random.Random) -> bytes:
    """Change a JSON document in one to four places."""
    try:
        document = json.loads(data)
        for _ in range(source.choice((1, 1, 1, 2, 4))):
            document = _changed(document, source)
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # no JSON, or nested beyond what can be changed here
        return data


def framed(data: bytes, source: random.Random) -> bytes:
    """Change a JSON header whose length the first byte says (0: all is JSON), and let the length follow it."""
    size = data[0] if data else 0
    head, tail = (data[1 : 1 + size], data[1 + size :]) if size else (data[1:], b"")
    changed = documents(head, source)
    return (bytes([len(changed)]) if size and len(changed) < 256 else b"\0") + changed + tail


def tar_checksums(data: bytes, _source: random.Random) -> bytes:
    """Give every block that looks like a header its checksum (POSIX ustar: the sum with the field itself as spaces)."""
    blocks = bytearray(data)
    for start in range(0, len(blocks) - _BLOCK + 1, _BLOCK):
        if blocks[start] and blocks.startswith(b"ustar", start + 257):
            block = blocks[start : start + _BLOCK]
            block[_CHECKSUM] = b" " * 8
            blocks[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    return bytes(blocks)


def behind(count: int, mutate: Mutate) -> Mutate:
    """Leave the first bytes as they are."""
    return lambda data, source: data[:count] + mutate(data[count:], source)


def png_checksums(data: bytes, _source: random.Random) -> bytes:
    """Give every chunk of a PNG its CRC; other photos have none."""
    if not data.startswith(_PNG):
        return data
    out, place = bytearray(_PNG), len(_PNG)
    while place + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, place)
        chunk = data[place + 4 : place + 8 + min(size, len(data) - place - 12)]
        out += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", binascii.crc32(chunk))
        place += len(chunk) + 8
    return bytes(out)


def _changed(node: Any, source: random.Random) -> Any:
    """The document with one change: a part replaced, removed, doubled or swapped with another."""
    places = list(_places(node))
    if not places:
        return source.choice(_ODD)
    holder, key = source.choice(places)
    match source.randrange(6):
        case 0 if isinstance(holder, dict):
            holder[source.choice(("", "\x00", "x", str(key) + "x", "parameters", "previous"))] = holder[key]
        case 0:
            holder.insert(key, holder[key])
        case 1:
            del holder[key]
        case 2:
            other, its = source.choice(places)
            holder[key] = json.loads(json.dumps(other[its]))
        case 3 if isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = source.choice((holder[key] + 1, -holder[key], str(holder[key])))
        case 4 if isinstance(holder[key], str):
            text = holder[key]
            cut = source.randint(0, len(text))
            holder[key] = text[:cut] + source.choice(("", "\x00", "ż", "\n", "-", "0", " ", ":", "/", "%")) + text[cut:]
        case _:
            holder[key] = source.choice(_ODD)
    return node


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(pairs):
        yield node, key
        yield from _places(value)
