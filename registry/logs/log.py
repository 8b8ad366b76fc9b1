"""A numbered log of write-once objects: 1, 2, 3 … without a hole. Versions, channels and certificates are such logs."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from registry.errors import HistoryBroken, ObjectExists, ObjectMissing, StoreUnavailable
from registry.store.object_store import ObjectStore
from registry.store.transfer import REQUESTS_AT_ONCE, in_order

READERS = REQUESTS_AT_ONCE
_NUMBER = re.compile(r"(\d{8})\.json")
"""Eight digits, so that keys sort as their numbers do."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """Entries under one prefix. An entry is there, whole and forever, or not."""

    store: ObjectStore
    prefix: str
    key: Callable[[int], str]  # number -> key

    def read(self, number: int) -> bytes | None:
        """The entry's bytes; None while there is none. One request."""
        try:
            return self.store.get(self.key(number))
        except ObjectMissing:
            return None

    def append(self, number: int, body: bytes) -> bytes:
        """Write entry `number` unless it exists; returns the bytes that stand there afterwards.

        They equal `body` if this call won, also when the store's answer was lost on the way: that is what a random
        write id inside the body is for. StoreUnavailable if the outcome cannot be learned.
        """
        try:
            self.store.create(self.key(number), body)
        except ObjectExists:
            # Perhaps by our own first try, whose answer was lost and which botocore repeated.
            return self.store.get(self.key(number))
        except StoreUnavailable:
            standing = self.read(number)
            if standing is None:
                raise
            return standing
        return body

    def numbers(self, *, after: int = 0) -> list[int]:
        """The numbers behind `after` that are there, ascending, holes or not; a request for each 1,000.

        A name that is not an entry's is skipped: anyone who may write here must not stop those who read. fsck names it.
        """
        return sorted(self.listed(after=after))

    def listed(self, *, after: int = 0) -> Iterator[int]:
        """The same one by one as they are listed, by a store that lists in order; those above `after`."""
        keys = self.store.keys(self.prefix, after=self.key(after)) if after else self.store.keys(self.prefix)
        found = (_NUMBER.fullmatch(key.removeprefix(self.prefix)) for key in keys)
        return (int(match[1]) for match in found if match and int(match[1]) > 0)

    def read_each(self, numbers: Sequence[int]) -> list[bytes]:
        """These entries; HistoryBroken if one is missing."""
        return list(self.read_ahead(numbers))

    def read_ahead(self, numbers: Iterable[int]) -> Iterator[bytes]:
        """The same one by one, as many of them in memory at a time as are read at once. HistoryBroken."""

        def read(number: int) -> bytes:
            body = self.read(number)
            if body is None:
                raise self.hole(number)
            return body

        return in_order(read, numbers, at_once=READERS, waiting=READERS)

    def hole(self, number: int) -> HistoryBroken:
        """What to raise where entry `number` is missing."""
        return HistoryBroken(self.prefix, expected=f"entry {number}", actual="a hole")


def unbroken(numbers: Sequence[int]) -> int:
    """How many of these ascending numbers are 1, 2, 3 …; later ones follow a gap."""
    return next((place for place, number in enumerate(numbers) if number != place + 1), len(numbers))
