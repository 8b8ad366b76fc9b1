"""Repairs: objects declared not to be part of the registry's logs, by whom and why. Nothing is deleted.

A repair names an object by its key and the hash of its bytes. Logs ask for repairs only where they cannot go on
without one, so they cost nothing while the registry is sound.
"""

import secrets
from dataclasses import asdict, dataclass
from typing import Self

from registry.clock import Clock, utc_now
from registry.encoding import (
    SHA256,
    WRITE_ID,
    canonical,
    format_time,
    parse_canonical,
    parse_time,
    sha256_hex,
)
from registry.errors import RepairMalformed, StoreConflict
from registry.layout.model_store import Prefix, object_prefix, repair_key
from registry.logs.log import Log
from registry.store.object_store import ObjectStore
from registry.version import check_name

_TRIES = 20


@dataclass(frozen=True, kw_only=True)
class Repair:
    """From here on the object `key`, if it has these bytes, is not part of its log."""

    number: int
    key: str
    sha256: str
    problem: str  # what was wrong with it
    by: str
    why: str
    at: str
    write_id: str

    def to_bytes(self) -> bytes:
        """What is stored."""
        return canonical(asdict(self))

    @classmethod
    def from_bytes(cls, number: int, data: bytes) -> Self:
        """The repair that was stored; RepairMalformed for any other bytes."""
        try:
            fields = parse_canonical(data)
            repair = cls(
                number=fields.count("number"),
                key=fields.text("key"),
                sha256=fields.text("sha256", SHA256),
                problem=fields.text("problem"),
                by=fields.text("by"),
                why=fields.text("why"),
                at=fields.text("at"),
                write_id=fields.text("write_id", WRITE_ID),
            )
            fields.done()
            parse_time(repair.at)
        except ValueError as error:
            raise RepairMalformed(str(error)) from error
        if repair.number != number:
            raise RepairMalformed(f"repair {repair.number} in its place")
        return repair


class Repairs:
    """The repairs of a model's registry."""

    def __init__(self, store: ObjectStore, model: str, *, clock: Clock = utc_now) -> None:
        self.model = check_name("model", model)
        self._clock = clock
        self._log = Log(
            store=store,
            prefix=object_prefix(model, Prefix.REPAIRS),
            key=lambda number: repair_key(model, number),
        )

    def all(self) -> list[Repair]:
        """Every repair, oldest first; objects that are none are skipped."""
        numbers = self._log.numbers()
        found: list[Repair] = []
        for number, body in zip(numbers, self._log.read_each(numbers), strict=True):
            try:
                found.append(Repair.from_bytes(number, body))
            except RepairMalformed:
                continue
        return found

    def void(self, key: str, body: bytes) -> bool:
        """Whether the object `key` with these bytes was declared void. A listing, and one request per repair."""
        sha256 = sha256_hex(body)
        return any((repair.key, repair.sha256) == (key, sha256) for repair in self.all())

    def declare(self, key: str, body: bytes, *, problem: str, by: str, why: str) -> Repair:
        """Declare the object `key` with these bytes void. Repeating it adds nothing."""
        sha256 = sha256_hex(body)
        for _ in range(_TRIES):
            there = next((found for found in self.all() if (found.key, found.sha256) == (key, sha256)), None)
            if there is not None:
                return there
            repair = Repair(
                number=max(self._log.numbers(), default=0) + 1,
                key=key,
                sha256=sha256,
                problem=problem,
                by=by,
                why=why,
                at=format_time(self._clock()),
                write_id=secrets.token_hex(16),
            )
            if self._log.append(repair.number, repair.to_bytes()) == repair.to_bytes():
                return repair
        raise StoreConflict(f"declare {key} void", f"others declare something at the same time, {_TRIES} times")
