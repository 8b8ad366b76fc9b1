"""A numbered log of write-once objects: 1, 2, 3 … without a hole. Versions, channels and certificates are such logs."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from registry.errors import ForeignObject, HistoryBroken, ObjectExists, ObjectMissing, StoreUnavailable
from registry.object_store import ObjectStore

READERS = 8
_NUMBER = re.compile(r"(\d{1,12})\.json")


@dataclass(frozen=True, kw_only=True)
class Log:
    """Entries under one prefix. An entry is there, whole and for ever, or not."""

    store: ObjectStore
    prefix: str
    key: Callable[[int], str]  # number -> key; keys sort as their numbers do
    page: int = 1000  # keys that the store lists in one request

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

    def last(self) -> int:
        """The highest number; 0 for an empty log. O(log n) requests, one for up to 1,000 entries.

        Gallops, then bisects, on "is there any key behind this one?", which a listing with `StartAfter` answers. Unlike
        "is there an entry n?" this stays monotone if somebody deleted an entry, so a hole can never make an older state
        look like the newest.
        """
        low, jump = 0, 0  # entry `low` exists (or is 0)
        high: int | None = None  # no entry lies behind `high`
        while high is None or low < high:
            probe = self._probe(low, jump, high)
            numbers = self._page_after(probe)
            if not numbers:
                high = probe
            elif len(numbers) < self.page:
                return numbers[-1]
            else:
                low = numbers[-1]
                jump = max(self.page, 2 * jump)
        return low

    def numbers(self) -> list[int]:
        """The numbers that are there, ascending, holes or not; ForeignObject."""
        return [self._number(key) for key in self.store.keys(self.prefix)]

    def tail(self, count: int) -> list[tuple[int, bytes]]:
        """The last `count` entries with their numbers, ascending; HistoryBroken if one among them is missing."""
        last = self.last()
        numbers = range(max(1, last - count + 1), last + 1)
        return list(zip(numbers, self._read_each(numbers), strict=True))

    def read_all(self) -> list[bytes]:
        """All entries, ascending; HistoryBroken if a number is missing."""
        numbers = self.numbers()
        for expected, number in enumerate(numbers, start=1):
            if number != expected:
                raise HistoryBroken(self.prefix, expected=f"entry {expected}", actual=f"entry {number} in its place")
        return self._read_each(numbers)

    def _read_each(self, numbers: Sequence[int]) -> list[bytes]:
        def read(number: int) -> bytes:
            body = self.read(number)
            if body is None:
                raise HistoryBroken(self.prefix, expected=f"entry {number}", actual="a hole")
            return body

        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(read, numbers))

    def _probe(self, low: int, jump: int, high: int | None) -> int:
        if high is None:
            return low + jump
        if high - low <= self.page:
            return low  # the page behind it shows such a window whole
        return (low + high) // 2

    def _page_after(self, number: int) -> list[int]:
        keys = islice(self.store.keys(self.prefix, after=self.key(number) if number else ""), self.page)
        return [self._number(key) for key in keys]

    def _number(self, key: str) -> int:
        match = _NUMBER.fullmatch(key.removeprefix(self.prefix))
        if match is None or int(match[1]) < 1 or self.key(int(match[1])) != key:
            raise ForeignObject(f"{key!r} in the log {self.prefix}", key=key)
        return int(match[1])
