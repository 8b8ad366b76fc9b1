"""All API keys of one stack's endpoint: a numbered log of write-once objects, each the whole state after one change.

Creating or revoking a key writes the next number; if it is taken, the entry there is read and the write repeated.
So concurrent changes are not lost, and no change can be removed unnoticed. A poll without a change takes one request
that finds nothing. Why, and what else was considered: docs/design/serving.md, "API keys".
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from registry import layout
from registry.clock import Clock, utc_now
from registry.encoding import WRITE_ID, canonical, format_time, parse_canonical, parse_time
from registry.errors import StoreConflict
from registry.logs.log import Log
from registry.store.object_store import ObjectStore
from serving.auth.key_record import ApiKey, RecordMalformed

TRIES = 100
"""How often a change is tried while others change something at the same time."""

type Changes = Mapping[str, ApiKey | None]
"""Name of a key -> its new record; None: the key is gone."""


@dataclass(frozen=True)
class KeyState:
    """The keys after entry `number`; 0: there is none yet."""

    number: int = 0
    seen: int = 0
    """The last number that was read. Between `number` and this one is nothing that is a state."""
    documents: Mapping[str, object] = field(default_factory=dict[str, object])
    """Name of a key -> its record as it is stored. What is not a record is kept: another version may know it."""

    @cached_property
    def records(self) -> Mapping[str, ApiKey]:
        """Those that can be read."""
        return {name: record for name, record in self._read.items() if isinstance(record, ApiKey)}

    @cached_property
    def problems(self) -> Mapping[str, str]:
        """Name of what is not a record -> why not. Such a key is never valid."""
        return {name: str(record) for name, record in self._read.items() if isinstance(record, RecordMalformed)}

    @cached_property
    def _read(self) -> Mapping[str, ApiKey | RecordMalformed]:
        return {name: _record(name, document) for name, document in self.documents.items()}


class KeyLog:
    """The log below `prefix`. Any number of readers and writers, no lock."""

    def __init__(self, store: ObjectStore, prefix: str, *, clock: Clock = utc_now) -> None:
        self.prefix = prefix
        self._clock = clock
        self._log = Log(store=store, prefix=prefix, key=lambda number: layout.api_keys_key(prefix, number))

    def latest(self, known: KeyState | None = None) -> KeyState:
        """The keys now. `known`: the last state that was read, which is returned where nothing was written since.

        One request where nothing changed; else two more, however many changes there were: a listing (one request for
        each 1,000 of them) and the last entry. Objects that are not a state are skipped. Raises the store's errors.
        """
        state = known or KeyState()
        first = self._log.read(state.seen + 1)
        if first is None:
            return state
        end = state.seen + 1
        for number in self._log.listed(after=end):
            if number != end + 1:  # behind a hole, where no writer writes
                break
            end = number
        for number in range(end, state.seen, -1):
            body = first if number == state.seen + 1 else self._log.read(number)
            documents = None if body is None else self._documents(number, body)
            if documents is not None:
                return KeyState(number, end, documents)
        return replace(state, seen=end)

    def change(self, decide: Callable[[KeyState], Changes], *, by: str, what: str) -> KeyState:
        """Write what `decide` makes of the keys as they are. It may be called again, and may refuse by raising.

        `by` and `what` are kept in the entry. Raises StoreConflict after TRIES attempts, and the store's errors; after
        StoreUnavailable the change may or may not have been made.
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
        """The state that these bytes are; None where they are none of this log at this place."""
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
