"""What a JPEG's markers say before anything is decoded. ITU-T T.81, annex B."""

import re
from typing import Final

_MARKER: Final = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
"""A marker in the midst of image data: there, FF is followed by 00 (a byte of the data) or D0 to D7 (a restart)."""

_ALONE: Final = frozenset({0x01, 0xD8})
"""Markers without a length: TEM and SOI."""

_SCAN, _END = 0xDA, 0xD9


def has_more_scans(data: bytes, most: int) -> bool:
    """Whether the first picture in `data` has more than `most` scans; each costs a pass over all pixels.

    A progressive file sends a picture in several scans, and nothing but the file says how many.
    """
    place, scans = 0, 0
    while (found := _MARKER.search(data, place)) is not None:
        marker, place = found[1][0], found.end()
        if marker == _END:
            break
        if marker == _SCAN:
            scans += 1
            if scans > most:
                return True
        if marker not in _ALONE:
            place += max(2, int.from_bytes(data[place : place + 2]))  # past the segment, and a thumbnail in it
    return False
