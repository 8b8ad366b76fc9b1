"""A process that moves a channel again and again, or follows it, against others.

Writes a line of JSON for each thing that it saw, so that the test can hold all of them against the history.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast

from registry.channels.channel import Channel
from registry.errors import ChannelMoved, StoreUnavailable
from registry.store.object_store import ObjectStore, PrunableStore
from registry.store.s3_client import s3_client
from registry.store.s3_store import S3Store
from registry.version import Version
from registry.versions.catalog import Catalog
from tests.folder_store import FolderStore
from tests.registry.faulty_store import FaultyStore, at_random


def open_store(place: str) -> ObjectStore:
    """A folder, or `URL#bucket` of an S3 server."""
    url, _, bucket = place.partition("#")
    return S3Store(s3_client(url, "eu-west-1"), bucket) if bucket else FolderStore(Path(place))


def write(store: ObjectStore, version: Version, name: str, attempts: int, say: TextIO) -> None:
    """Try to move the channel so many times; print the outcome of each attempt."""
    channel = Channel(store, "pets", "prod")
    for number in range(attempts):
        why = f"{name}-{number}"
        try:
            move = channel.move(version, by=name, why=why)
        except ChannelMoved:
            print(json.dumps({"lost": why}), file=say)
        except StoreUnavailable:
            print(json.dumps({"unknown": why}), file=say)
        else:
            print(json.dumps({"won": why, "number": move.number}), file=say)


def follow(store: ObjectStore, stop: Path, say: TextIO) -> None:
    """Follow until `stop` is there; say each entry that was seen."""
    channel, seen, over = Channel(store, "pets", "prod"), 0, False
    while not over:
        over = stop.exists()  # before the last look, so that nothing is missed
        with suppress(StoreUnavailable):
            head = channel.head()
            if head is not None and head.number != seen:
                seen = head.number
                print(json.dumps({"saw": seen, "why": head.why}), file=say)


def main() -> None:
    """`PLACE NAME OUT write ATTEMPTS FAULT_RATE` or `PLACE NAME OUT follow STOP`."""
    place, name, out, work, *rest = sys.argv[1:]
    store = open_store(place)
    with Path(out).open("w") as say:
        if work == "follow":
            follow(store, Path(rest[0]), say)
        else:
            faults = at_random(seed=sum(name.encode()), rate=float(rest[1]))
            faulty = FaultyStore(cast("PrunableStore", store), faults)
            write(faulty, Catalog(store, "pets").version(1), name, int(rest[0]), say)


if __name__ == "__main__":
    main()
