"""An object store that fails on request: for tests of everything that must survive a lost answer or a crash."""

import random
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

from registry.errors import StoreUnavailable
from registry.object_store import ObjectStore


class Fault(StrEnum):
    """What may happen to one call."""

    DROP_BEFORE = "the request is lost"
    DROP_AFTER = "the answer is lost"
    CRASH_BEFORE = "the caller dies before the request"
    CRASH_AFTER = "the caller dies before the answer"


class Crashed(Exception):
    """The caller's process is dead: this call, and every later one, has no outcome."""


type Plan = Callable[[int], Fault | None]
"""The fault that call number n (counted from 0) meets."""


def only_at(number: int, fault: Fault) -> Plan:
    """One fault, at one call."""
    return lambda call: fault if call == number else None


def at_random(seed: int, rate: float) -> Plan:
    """Lost requests and lost answers, each call with this probability, the same for the same seed."""
    source = random.Random(seed)  # noqa: S311 — repeatable on purpose
    drops = (Fault.DROP_BEFORE, Fault.DROP_AFTER)
    return lambda _: source.choice(drops) if source.random() < rate else None


class FaultyStore:
    """Wraps an ObjectStore; counts its calls and lets each meet what the plan says."""

    def __init__(self, store: ObjectStore, plan: Plan) -> None:
        self._store = store
        self._plan = plan
        self._lock = threading.Lock()
        self._crashed = False
        self.calls = 0

    def create(self, key: str, body: bytes) -> None:
        """See ObjectStore."""
        self._meet(f"write {key}", lambda: self._store.create(key, body))

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        """See ObjectStore."""
        self._meet(f"write {key}", lambda: self._store.create_from(key, path, sha256=sha256))

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        return self._meet(f"read {key}", lambda: self._store.get(key))

    def download(self, key: str, path: Path) -> None:
        """See ObjectStore."""
        self._meet(f"read {key}", lambda: self._store.download(key, path))

    def size(self, key: str) -> int | None:
        """See ObjectStore."""
        return self._meet(f"read {key}", lambda: self._store.size(key))

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        yield from self._meet(f"list {prefix}", lambda: list(self._store.keys(prefix, after=after)))

    def _meet[T](self, action: str, call: Callable[[], T]) -> T:
        with self._lock:
            fault = Fault.CRASH_BEFORE if self._crashed else self._plan(self.calls)
            self.calls += 1
            self._crashed = fault in {Fault.CRASH_BEFORE, Fault.CRASH_AFTER}
        if fault is Fault.CRASH_BEFORE:
            raise Crashed(action)
        if fault is Fault.DROP_BEFORE:
            raise StoreUnavailable(action, fault)
        result = call()
        if fault is Fault.CRASH_AFTER:
            raise Crashed(action)
        if fault is Fault.DROP_AFTER:
            raise StoreUnavailable(action, fault)
        return result
