"""The API keys of one stack's endpoint: a numbered log of write-once objects, each the whole state after one change.

Creating or revoking a key writes the next number; if it exists, that entry is read and the write repeated. So
concurrent changes are not lost, and a removed change is detected. A poll without a change needs one request.
Alternatives: docs/design/serving.md, "API keys".
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from registry.clock import Clock, utc_now
from registry.encoding import WRITE_ID, canonical, format_time, parse_canonical, parse_time
from registry.errors import StoreConflict
from registry.layout.model_store import api_keys_key
from registry.logs.log import Log
from registry.store.object_store import ObjectStore
from serving.auth.key_record import ApiKey, RecordMalformed

TRIES = 100
"""Attempts of a change while others make changes at the same time."""

type Changes = Mapping[str, ApiKey | None]
"""Name of a key -> its new record; None: delete the key."""


@dataclass(frozen=True)
class KeyState:
    """The keys after entry `number`; 0: no entry yet."""

    number: int = 0
    seen: int = 0
    """The last number that was read. There is no valid state between `number` and this one."""
    documents: Mapping[str, object] = field(default_factory=dict[str, object])
    """Name of a key -> its stored record. Invalid records are kept: another version may support them."""

    @cached_property
    def records(self) -> Mapping[str, ApiKey]:
        """The valid records."""
        return {name: record for name, record in self._read.items() if isinstance(record, ApiKey)}

    @cached_property
    def problems(self) -> Mapping[str, str]:
        """Name of an invalid record -> the reason. Such a key is never valid."""
        return {name: str(record) for name, record in self._read.items() if isinstance(record, RecordMalformed)}

    @cached_property
    def _read(self) -> Mapping[str, ApiKey | RecordMalformed]:
        return {name: _record(name, document) for name, document in self.documents.items()}


class KeyLog:
    """The log below `prefix`. Any number of readers and writers, no lock."""

    def __init__(self, store: ObjectStore, prefix: str, *, clock: Clock = utc_now) -> None:
        self.prefix = prefix
        self._clock = clock
        self._log = Log(store=store, prefix=prefix, key=lambda number: api_keys_key(prefix, number))

    def latest(self, known: KeyState | None = None) -> KeyState:
        """Returns the current keys. `known`: the last state that was read, which is returned if there is no newer one.

        Needs one request without changes, else two more for any number of changes: a listing (one request per 1,000
        entries) and the last entry. Invalid objects are skipped. Raises the store's errors.
        """
        state = known or KeyState()
        first = self._log.read(state.seen + 1)
        if first is None:
            return state
        end = state.seen + 1
        for number in self._log.listed(after=end):
            if number != end + 1:  # after a gap, where no writer writes
                break
            end = number
        for number in range(end, state.seen, -1):
            body = first if number == state.seen + 1 else self._log.read(number)
            documents = None if body is None else self._documents(number, body)
            if documents is not None:
                return KeyState(number, end, documents)
        return replace(state, seen=end)

    def change(self, decide: Callable[[KeyState], Changes], *, by: str, what: str) -> KeyState:
        """Write the changes that `decide` returns for the current keys. It may be called again, and may raise.

        Returns the new state. `by` and `what` are stored in the entry. Raises `StoreConflict` after TRIES attempts, and
        the store's errors; after `StoreUnavailable` the change may or may not have been made.
        """
        state: KeyState | None = None
        for _ in range(TRIES):
            state = self.latest(state)
            changed = decide(state)
            documents = {name: document for name, document in state.documents.items() if name not in changed}
            documents |= {name: record.to_dict() for name, record in changed.items() if record is not None}
            number = state.seen + 1
            body = canonical(
                {
                    "log": self.prefix,
                    "number": number,
                    "by": by,
                    "change": what,
                    "at": format_time(self._clock()),
                    "write_id": secrets.token_hex(16),
                    "keys": documents,
                }
            )
            if self._log.append(number, body) == body:
                return KeyState(number, number, documents)
        raise StoreConflict(f"change {self.prefix}", f"others change it at the same time, {TRIES} times")

    def _documents(self, number: int, body: bytes) -> Mapping[str, object] | None:
        """The state in these bytes; None if they are not a state of this log with this number."""
        try:
            fields = parse_canonical(body)
            ours = (fields.text("log"), fields.count("number")) == (self.prefix, number)
            fields.text("by")
            fields.text("change")
            parse_time(fields.text("at"))
            fields.text("write_id", WRITE_ID)
            documents = fields.nested("keys").rest()
            fields.done()
        except ValueError:
            return None
        return documents if ours else None


def _record(name: str, document: object) -> ApiKey | RecordMalformed:
    try:
        return ApiKey.from_dict(name, document)
    except RecordMalformed as problem:
        return problem
