"""An object store that fails on request: for tests of everything that must survive a lost answer or a crash."""

import random
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path

from registry.errors import ObjectExists, RegistryError, StoreConflict, StoreUnavailable, StreamTorn
from registry.store.object_info import Revision, Stored
from registry.store.object_store import PrunableStore
from registry.store.transfer import outcome_of


class Fault(StrEnum):
    """What may happen to one call, after whatever the store's own client tried again."""

    DROP_BEFORE = "the request is lost"
    DROP_AFTER = "the answer is lost"
    CRASH_BEFORE = "the caller dies before the request"
    CRASH_AFTER = "the caller dies before the answer"
    CONFLICT = "409: the store would not decide"
    UNAVAILABLE = "503: the store is overloaded"
    TAKEN = "412: a first try got through, its answer was lost, and the second met it"
    TORN = "the stream broke off"
    SLOW = "the call is slow, and others act during it"


CUTS = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
"""The caller is dead afterwards."""

ENDURED = tuple(fault for fault in Fault if fault not in CUTS)
"""The caller lives on, and learns of it or not."""


class Crashed(Exception):
    """The caller's process is dead: this call, and every later one, has no outcome."""


type Plan = Callable[[int], Fault | None]
"""The fault that call number n (counted from 0) meets."""


def only_at(number: int, fault: Fault) -> Plan:
    """One fault, at one call."""
    return lambda call: fault if call == number else None


def at_random(seed: int, rate: float, faults: Sequence[Fault] = ENDURED) -> Plan:
    """Each call meets one of `faults` with this probability, the same for the same seed."""
    source = random.Random(seed)
    return lambda _: source.choice(faults) if source.random() < rate else None


def _do_nothing() -> None:
    """Nobody else acts."""


class FaultyStore:
    """Wraps an ObjectStore; counts its calls and applies the plan's fault to each.

    `meanwhile` is what others do while a call is slow.
    """

    def __init__(self, store: PrunableStore, plan: Plan, *, meanwhile: Callable[[], object] = _do_nothing) -> None:
        self._store = store
        self._plan = plan
        self._meanwhile = meanwhile
        self._lock = threading.Lock()
        self._crashed = False
        self.calls = 0

    def create(self, key: str, body: bytes) -> None:
        """See ObjectStore."""
        self._write(key, lambda: self._store.create(key, body))

    def create_each(self, objects: Iterable[tuple[str, bytes]]) -> Generator[RegistryError | None]:
        """See ObjectStore. In sequence, so that the n-th call is the same every time."""
        for key, body in objects:
            yield outcome_of(partial(self.create, key, body))

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        """See ObjectStore."""
        self._write(key, lambda: self._store.create_from(key, path, sha256=sha256))

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        return self._meet(f"read {key}", lambda: self._store.get(key))

    def get_each(self, keys: Iterable[str]) -> Generator[bytes]:
        """See ObjectStore. In sequence, so that the n-th call is the same every time."""
        for key in keys:
            yield self.get(key)

    def chunks(self, key: str) -> Iterator[bytes]:
        """See ObjectStore."""
        yield from self._meet(f"read {key}", lambda: list(self._store.chunks(key)))

    def download(self, key: str, path: Path, *, size: int | None = None) -> str:
        """See ObjectStore."""
        return self._meet(f"read {key}", lambda: self._store.download(key, path, size=size))

    def stat(self, key: str) -> Stored | None:
        """See ObjectStore."""
        return self._meet(f"read {key}", lambda: self._store.stat(key))

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        yield from self._meet(f"list {prefix}", lambda: list(self._store.keys(prefix, after=after)))

    def stats(self, prefix: str) -> Iterator[Stored]:
        """See ObjectStore."""
        yield from self._meet(f"list {prefix}", lambda: list(self._store.stats(prefix)))

    def delete(self, key: str) -> None:
        """See PrunableStore."""
        self._meet(f"delete {key}", lambda: self._store.delete(key))

    def revisions(self, prefix: str) -> Iterator[Revision]:
        """See PrunableStore."""
        yield from self._meet(f"list {prefix}", lambda: list(self._store.revisions(prefix)))

    def _write(self, key: str, call: Callable[[], None]) -> None:
        self._meet(f"write {key}", call, taken=ObjectExists(key))

    def _meet[T](self, action: str, call: Callable[[], T], *, taken: ObjectExists | None = None) -> T:
        with self._lock:
            fault = Fault.CRASH_BEFORE if self._crashed else self._plan(self.calls)
            self.calls += 1
            self._crashed = fault in CUTS
        self._before(action, fault)
        result = call()
        if fault is Fault.CRASH_AFTER:
            raise Crashed(action)
        if fault is Fault.DROP_AFTER:
            raise StoreUnavailable(action, fault)
        if fault is Fault.TAKEN and taken is not None:
            raise taken
        return result

    def _before(self, action: str, fault: Fault | None) -> None:
        match fault:
            case Fault.CRASH_BEFORE:
                raise Crashed(action)
            case Fault.DROP_BEFORE | Fault.UNAVAILABLE:
                raise StoreUnavailable(action, fault)
            case Fault.CONFLICT:
                raise StoreConflict(action, fault)
            case Fault.TORN:
                raise StreamTorn(action, fault)
            case Fault.SLOW:
                self._meanwhile()
            case _:
                pass
