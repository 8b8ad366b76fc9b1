"""A log whose entries carry the hash of the entry before: all readers agree on it, whatever other objects exist.

The rules (docs/design/decisions.md): bytes that are not an entry of this log at this place are skipped. An entry that
is one, but does not continue the chain, breaks it for everybody, unless a repair declared it void.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Protocol

from registry.encoding import sha256_hex
from registry.errors import ForeignObject, HistoryBroken, Malformed, RegistryError, StoreUnavailable
from registry.logs.chain_memory import WORTH_KEEPING, ChainMemory
from registry.logs.log import Log, unbroken
from registry.logs.repairs import Repairs

MOST_JUNK = 1000
"""How many objects that are not entries a writer skips before it gives up."""


class Link(Protocol):
    """An entry of a chained log."""

    @property
    def number(self) -> int:
        """Its place in the log, from 1."""
        ...

    @property
    def previous_sha256(self) -> str | None:
        """SHA-256 of the entry before it; None of the first."""
        ...

    @property
    def by(self) -> str:
        """ARN of who wrote it."""
        ...

    @property
    def at(self) -> str:
        """When, in ISO 8601."""
        ...

    def to_bytes(self) -> bytes:
        """Return the bytes that are stored."""
        ...


class Chain[Entry: Link]:
    """The entries of one log as far as they were read, from the first one on. It only ever grows."""

    def __init__(
        self,
        log: Log,
        *,
        what: str,
        parse: Callable[[int, bytes], Entry],
        repairs: Repairs,
        check: Callable[[Entry | None, Entry], None] = lambda *_: None,
        memory: ChainMemory | None = None,
    ) -> None:
        """`parse` raises a Malformed for what is not an entry of this log, HistoryBroken for one at another place.

        `check` raises HistoryBroken for an entry that cannot follow another. `memory`: what this machine knows already.
        """
        self.entries: list[Entry] = []
        self.passed_over: dict[int, RegistryError] = {}
        """Invalid objects between the entries, with the reason."""
        self.log = log
        self._what = what
        self._parse = parse
        self._repairs = repairs
        self._check = check
        self._memory = memory
        self._remembered = 0
        """How many entries the memory has."""
        self._begun = False
        self._head_sha256: str | None = None

    @property
    def head(self) -> Entry | None:
        """The last entry that was read."""
        return self.entries[-1] if self.entries else None

    @property
    def next_number(self) -> int:
        """Where the next entry goes: the first number that was not read yet. Every reader and writer agrees on it."""
        last = self.entries[-1].number if self.entries else 0
        return max(last, max(self.passed_over, default=0)) + 1

    def follow(self) -> Entry | None:
        """Read on, and return the last entry. HistoryBroken; what was read before the break stays.

        From nothing a listing and all entries, many at a time; with a memory, only those that came since. Then one
        request, and one for each entry.
        """
        if self._begun:
            while (body := self.log.read(self.next_number)) is not None:
                self.take(body)
        else:
            self._begin()
        self._remember()
        return self.head

    def walk(self) -> Iterator[Entry]:
        """Every entry from the first on, checked as by `follow`, in bounded memory: only the last one is kept here.

        For a chain from which nothing was read yet. HistoryBroken; what comes before the break is given first.
        """
        end, beyond = 0, list[int]()

        def unbroken_part() -> Iterator[int]:
            nonlocal end
            for number in self.log.listed():
                if number == end + 1:
                    end = number
                    yield number
                else:
                    beyond.append(number)

        for body in self.log.read_ahead(unbroken_part()):
            entry = self.take(body)
            if entry is not None:
                del self.entries[:-1]
                yield entry
        for number in beyond:
            self._refuse_beyond(number, hole=end + 1)
        self._begun = True

    def take(self, body: bytes) -> Entry | None:
        """The object at `next_number` has these bytes: the entry that they are, or None if they are none."""
        number = self.next_number
        try:
            entry = self._parse(number, body)
            self._continue(entry)
        except Malformed as problem:
            self._read_again(number, body)
            self.passed_over[number] = problem
            return None
        except HistoryBroken as problem:
            if not self._repairs.void(self.log.key(number), body):
                raise
            self.passed_over[number] = problem
            return None
        self._append(entry, body)
        return entry

    def at(self, number: int) -> Entry | None:
        """The entry with this number, if it was read."""
        place = bisect_left(self.entries, number, key=lambda entry: entry.number)
        found = self.entries[place] if place < len(self.entries) else None
        return found if found is not None and found.number == number else None

    def before(self, number: int) -> Entry | None:
        """The last entry whose number is below `number`; None if there is none."""
        place = bisect_left(self.entries, number, key=lambda entry: entry.number)
        return self.entries[place - 1] if place else None

    def _begin(self) -> None:
        if self._memory is not None and self.head is None:
            self._recall(self._memory)
        first = self.next_number
        numbers = [number - first + 1 for number in self.log.numbers(after=first - 1)]
        end = unbroken(numbers)
        for body in self.log.read_ahead(range(first, first + end)):
            self.take(body)
        for number in numbers[end:]:
            self._refuse_beyond(first - 1 + number, hole=first + end)
        self._begun = True

    def _recall(self, memory: ChainMemory) -> None:
        """Take over what this machine verified before, if it still fits together and the log has the last of it.

        Each entry is checked against the one before as if it had just been read. One request, for the last.
        """
        try:
            for body in memory.load(self.log.prefix):
                number = int(json.loads(body)["number"])  # the rest of it is checked below
                if number - self.next_number > MOST_JUNK:
                    raise ValueError(f"number {number}")  # noqa: TRY301 - handled as an entry that cannot be read is
                for passed_over in range(self.next_number, number):
                    self.passed_over[passed_over] = ForeignObject(
                        "an object that this machine passed over before", key=self.log.key(passed_over)
                    )
                entry = self._parse(number, body)
                self._continue(entry)
                self._append(entry, body)
        except (ValueError, LookupError, TypeError, RegistryError):
            self._forget()
        if self.head is not None and self.log.read(self.head.number) != self.head.to_bytes():
            self._forget()
        self._remembered = len(self.entries)

    def _append(self, entry: Entry, body: bytes) -> None:
        self.entries.append(entry)
        self._head_sha256 = sha256_hex(body)

    def _forget(self) -> None:
        self._head_sha256 = None
        self.entries.clear()
        self.passed_over.clear()

    def _remember(self) -> None:
        if self._memory is not None and len(self.entries) - self._remembered >= WORTH_KEEPING:
            self._memory.keep(self.log.prefix, (entry.to_bytes() for entry in self.entries))
            self._remembered = len(self.entries)

    def _refuse_beyond(self, number: int, *, hole: int) -> None:
        """HistoryBroken if an entry follows a gap: one before it was deleted, or numbers were skipped."""
        body, who = self.log.read(number) or b"", ""
        try:
            entry = self._parse(number, body)
            who = f", by {entry.by} at {entry.at}"
        except Malformed:
            return
        except HistoryBroken:
            pass
        if not self._repairs.void(self.log.key(number), body):
            raise HistoryBroken(
                self._what,
                expected=f"entry {hole}",
                actual=f"a hole before entry {number}{who}",
            )

    def _continue(self, entry: Entry) -> None:
        before = self.head
        expected = self._head_sha256
        if entry.previous_sha256 != expected:
            after = f"the hash of entry {before.number}" if before else "as the first"
            raise HistoryBroken(
                self._what,
                expected=f"entry {entry.number} carrying {expected}, {after}",
                actual=f"{entry.previous_sha256}, written by {entry.by} at {entry.at}",
            )
        self._check(before, entry)

    def _read_again(self, number: int, body: bytes) -> None:
        """Skipping is permanent, so the object must really be in the store, not a read error."""
        if self.log.read(number) != body:
            raise StoreUnavailable(f"read {self.log.key(number)}", "other bytes the second time")
