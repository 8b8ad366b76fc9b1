"""Objects in the data lake that petpark did not write. All commands skip them; doctor lists them."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from registry.layout.data_lake import DATASETS, EVENT_PICTURES, EVENTS, LABELS, PHOTOS

if TYPE_CHECKING:
    from registry.store.object_store import ObjectStore

MOST: Final = 200_000
"""Keys that are looked at below each prefix: two hundred listings, half a minute at most."""

_HASH = "[0-9a-f]{64}"
_OURS: Final = {
    PHOTOS: re.compile(f"sha256/{_HASH}"),
    DATASETS: re.compile(rf"{_HASH}\.(jsonl|(changes|ingestions)/{_HASH}\.json|quality/\d{{6}}\.(json|html))"),
    EVENTS: re.compile(r"[^/]+/\d{4}-\d\d-\d\d/[^/]+\.json"),
    EVENT_PICTURES: re.compile(r"[^/]+/\d{4}-\d\d-\d\d/[^/]+\.jpg"),
    LABELS: re.compile(r"v1/[^/]+/\d{8}T\d\d-\d{8}T\d\d/(sample|people/[^/]+/\d{8})\.json"),
}
"""What keys look like below each prefix (`registry.layout`)."""


def foreign(lake: ObjectStore, *, most: int = MOST) -> list[str]:
    """Keys of objects that nothing of petpark has written, in order."""
    return [
        key
        for prefix, ours in _OURS.items()
        for key in islice(lake.keys(prefix), most)
        if not ours.fullmatch(key.removeprefix(prefix))
    ]
