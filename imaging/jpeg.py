"""What a JPEG's markers show before anything is decoded. ITU-T T.81, annex B."""

import random
import re
from collections.abc import Iterator
from typing import Final

_MARKER: Final = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
"""A marker in the midst of image data: there, FF is followed by 00 (a byte of the data) or D0 to D7 (a restart)."""

_ALONE: Final = frozenset({0x01, 0xD8})
"""Markers without a length: TEM and SOI."""

_SCAN, _END = 0xDA, 0xD9
_SCAN_BYTES: Final = bytes((0xFF, _SCAN))
_PIECE: Final = 2**17
_HUFFMAN: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Frames whose scans are Huffman codes, sequential and progressive; others are rare, and coded in other ways."""

_SEQUENTIAL: Final = frozenset({0xC0, 0xC1})

_LENGTH, _COMPONENTS = 2, 7
"""Where the number of components stands in what follows the marker of a scan, and of a frame. B.2.2, B.2.3."""

_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})

_BLOCKS: Final = bytes(value for value in random.Random(81).randbytes(256) if value != 0xFF)  # noqa: S311 - no secret
_MORE: Final = b"".join(_BLOCKS + bytes((0xFF, restart)) for restart in (*range(0xD0, 0xD8), 0xD0)) + _BLOCKS
"""Codes of any blocks, and every restart: a scan that has restarts takes nothing before the next one."""


def has_more_scans(data: bytes, most: int) -> bool:
    """Whether the first picture in `data` has more than `most` scans; each costs a pass over all pixels.

    A progressive file has a picture in several scans; their number is known only by searching the file. Of a sequential
    one whose first scan has all components, libjpeg reads no other, so that its data need not be searched for any.
    """
    if _is_one_scan(data):
        return False
    if _at_most(data) <= most:
        return False
    scans = 0
    for marker, _, _ in _markers(data):
        scans += marker == _SCAN
        if scans > most:
            return True
    return False


def _at_most(data: bytes) -> int:
    """How many scans there are at most: a scan's marker is never anything else, but its bytes may be.

    In pieces, which overlap by a byte: each call holds the GIL, and an endpoint has other requests to answer.
    """
    return sum(data.count(_SCAN_BYTES, begin, begin + _PIECE + 1) for begin in range(0, len(data), _PIECE))


def _is_one_scan(data: bytes) -> bool:
    """Whether the first scan of the first picture in `data` is its only one. Looks at what comes before it alone."""
    components = None
    for marker, _, place in _markers(data):
        if marker in _SEQUENTIAL:
            components = data[place + _COMPONENTS : place + _COMPONENTS + 1]
        elif marker == _SCAN:
            return components == data[place + _LENGTH : place + _LENGTH + 1]
    return False


def with_longer_scans(data: bytes) -> bytes | None:
    """Returns the first picture in `data` with more data at the end of each scan; None for kinds that do not take it.

    A decoder passes over what follows the last block of a whole scan, so a whole picture has the same pixels with it.
    One that ends early has others: libjpeg fills up missing blocks with grey, and its warning does not reach Pillow.
    """
    pieces: list[bytes] = []
    place, in_scan, frame = 0, False, None
    for marker, begin, _ in _markers(data):
        if in_scan:
            pieces += (data[place:begin], _MORE)
            place = begin
        in_scan = marker == _SCAN
        frame = marker if marker in _FRAMES else frame
    return b"".join((*pieces, data[place:])) if frame in _HUFFMAN else None


def _markers(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Markers of the first picture: each one, where it begins, and where what belongs to it does."""
    place = 0
    while (found := _MARKER.search(data, place)) is not None:
        marker, place = found[1][0], found.end()
        yield marker, found.start(), place
        if marker == _END:
            return
        if marker not in _ALONE:
            place += max(2, int.from_bytes(data[place : place + 2]))  # past the segment, and a thumbnail in it
