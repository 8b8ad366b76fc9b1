"""A channel: its current version, as an append-only, numbered log of moves."""

import hashlib
import secrets
import sys
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Self

from registry.clock import Clock, utc_now
from registry.encoding import (
    DIGEST,
    NAME,
    SHA256,
    WRITE_ID,
    canonical,
    format_time,
    parse_canonical,
    parse_time,
    sha256_hex,
)
from registry.errors import (
    ChannelMoved,
    HistoryBroken,
    MoveMalformed,
    NothingToRollBackTo,
    RegistryError,
    StoreConflict,
)
from registry.layout.model_store import channel_entry_key, channel_prefix
from registry.logs.chain import MOST_JUNK, Chain
from registry.logs.chain_memory import ChainMemory
from registry.logs.log import Log
from registry.logs.repairs import Repairs
from registry.store.object_store import ObjectStore
from registry.version import Version, check_name


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelEntry:
    """One entry of a channel: from here on, this is its version."""

    channel: str
    number: int
    version: int
    digest: str
    by: str
    why: str
    previous: int | None  # the active version before
    restores: int | None  # a rollback: the entry whose state it brings back; None for a move forward
    at: str
    write_id: str  # random: distinguishes our own entry from another with the same text
    previous_sha256: str | None  # of the entry before; None for the first

    @property
    def is_rollback(self) -> bool:
        """Whether it brought back an earlier state."""
        return self.restores is not None

    @property
    def sha256(self) -> str:
        """Hash of the entry's stored bytes, which the next entry carries."""
        return sha256_hex(self.to_bytes())

    def to_dict(self) -> dict[str, object]:
        """The JSON object that is stored, and shown by `--json`."""
        return asdict(self)

    def to_bytes(self) -> bytes:
        """What is stored."""
        return canonical(self.to_dict())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The entry that was stored; MoveMalformed for any other bytes."""
        try:
            fields = parse_canonical(data)
            move = cls(
                channel=sys.intern(fields.text("channel", NAME)),  # of the same few in every entry
                number=fields.count("number"),
                version=fields.count("version"),
                digest=sys.intern(fields.text("digest", DIGEST)),
                by=sys.intern(fields.text("by")),
                why=fields.text("why"),
                previous=fields.optional_count("previous"),
                restores=fields.optional_count("restores"),
                at=fields.text("at"),
                write_id=fields.text("write_id", WRITE_ID),
                previous_sha256=fields.optional_text("previous_sha256", SHA256),
            )
            fields.done()
            parse_time(move.at)
            move._check_order()
        except ValueError as error:
            raise MoveMalformed(str(error)) from error
        return move

    def _check_order(self) -> None:
        # The first entry need not have number 1: the object there may be invalid.
        first = self.previous_sha256 is None
        if first != (self.previous is None) or (self.number == 1 and not first):
            raise ValueError("exactly the first entry has nothing before it")
        if self.restores is not None and self.restores >= self.number:
            raise ValueError(f"entry {self.number} cannot restore entry {self.restores}")


class Channel:
    """Channel `name` of `model`. Any number of writers and followers, no lock: one writer wins each number."""

    def __init__(
        self,
        store: ObjectStore,
        model: str,
        name: str,
        *,
        clock: Clock = utc_now,
        memory: ChainMemory | None = None,
    ) -> None:
        self.model = check_name("model", model)
        self.name = check_name("channel", name)
        self._clock = clock
        self._forward = array("Q")
        self._log = Log(
            store=store,
            prefix=channel_prefix(model, name),
            key=lambda number: channel_entry_key(model, name, number),
        )
        self.chain = Chain(
            self._log,
            what=f"channel {name}",
            parse=self._parse,
            repairs=Repairs(store, model),
            check=self._check_restored,
            memory=memory,
        )

    def head(self) -> ChannelEntry | None:
        """The current move; None for a channel that never moved. What followers poll.

        Without a cache a listing and a request for each entry that this machine has not cached, all of which are
        checked; from then on one request, and one more for each move since. HistoryBroken if an entry does not carry
        the hash of the one before.
        """
        return self.chain.follow()

    @property
    def sure(self) -> ChannelEntry | None:
        """The last entry that was read and that the chain vouches for, also where `head` raises HistoryBroken."""
        return self.chain.head

    @property
    def passed_over(self) -> dict[int, RegistryError]:
        """Invalid objects between the entries that were read, by number, with the reason."""
        return dict(self.chain.passed_over)

    def after(self, number: int) -> ChannelEntry | None:
        """The object that follows entry `number` (0: the first); None until it exists. One request. MoveMalformed."""
        body = self._log.read(number + 1)
        return None if body is None else self._parse(number + 1, body)

    def history(self) -> list[ChannelEntry]:
        """All moves, oldest first; HistoryBroken if one is missing or does not carry the hash of the one before."""
        self.chain.follow()
        return list(self.chain.entries)

    def recent(self, count: int) -> list[ChannelEntry]:
        """The last `count` moves, oldest first; HistoryBroken."""
        return self.history()[-count:]

    def move(self, version: Version, *, by: str, why: str, expected: int | None = None) -> ChannelEntry:
        """Set the channel to `version`. `expected`: the number of the entry the decision was based on (0: none yet).

        Raises ChannelMoved, with what is there now, if that is not the last entry, or if another writer was faster.
        One request if the channel was seen at `expected`, two if it was read before, one more without a cache and for
        each move since.
        This is the mechanism; the rule of who may be moved to where is `registry.channels.promotion`.
        """
        seen = self.chain.head
        head = seen if seen is not None and seen.number == expected else self.head()
        if expected is not None and expected != _number(head):
            raise self._moved(expected, head)
        return self._append(head, version=version.number, digest=version.digest, by=by, why=why)

    def roll_back(
        self,
        *,
        by: str,
        why: str,
        to: int | None = None,
        expected: int | None = None,
        check: Callable[[ChannelEntry], None] = lambda _: None,
    ) -> ChannelEntry:
        """Bring back the version before this one, or version `to`; NothingToRollBackTo, ChannelMoved.

        Like undo: a second roll back goes one further, never forward to what the first one took out of force.
        `expected`: the number of the entry the decision was based on. `check` may refuse the entry that would be
        brought back by raising.
        """
        head = self.head()
        if expected is not None and expected != _number(head):
            raise self._moved(expected, head)
        if head is None:
            raise NothingToRollBackTo(self.name, expected="a version", actual="a channel that never moved")
        target = self.before(head) if to is None else self._last_with(to, before=head)
        check(target)
        return self._append(
            head,
            version=target.version,
            digest=target.digest,
            by=by,
            why=why,
            restores=target.restores or target.number,
        )

    def _append(
        self, head: ChannelEntry | None, *, version: int, digest: str, by: str, why: str, restores: int | None = None
    ) -> ChannelEntry:
        for _ in range(MOST_JUNK):
            if (
                self.chain.head != head
            ):  # it was read further in between: what follows must carry the hash of the last entry
                raise self._moved(_number(head), self.chain.head)
            move = ChannelEntry(
                channel=self.name,
                number=self.chain.next_number,
                version=version,
                digest=digest,
                by=by,
                why=why,
                previous=head.version if head else None,
                restores=restores,
                at=format_time(self._clock()),
                write_id=secrets.token_hex(16),
                previous_sha256=head.sha256 if head else None,
            )
            winner = self.chain.take(self._log.append(move.number, move.to_bytes()))
            if winner == move:
                return move
            if winner is not None:
                raise self._moved(_number(head), self.head())
        raise StoreConflict(f"append to channel {self.name}", f"{MOST_JUNK} invalid objects")

    def _moved(self, expected: int, head: ChannelEntry | None) -> ChannelMoved:
        """What to raise where the last entry is another than the decision was based on."""
        actual = f"entry {head.number}: version {head.version} by {head.by} ({head.why})" if head else "no entry"
        return ChannelMoved(self.name, expected=expected, entry=_number(head), actual=actual)

    def before(self, head: ChannelEntry) -> ChannelEntry:
        """The last entry with another version, seen from where `head`'s version came into force.

        What `roll_back` brings back; NothingToRollBackTo. No request.
        """
        move = self.chain.before(head.restores or head.number)
        while move is not None:
            if move.version != head.version:
                return move
            move = self.chain.before(move.restores or move.number)
        raise NothingToRollBackTo(
            self.name, expected=f"a version before {head.version}", actual=f"version {head.version} as the first"
        )

    def origin(self, move: ChannelEntry) -> ChannelEntry:
        """The forward move that set the version of `move`, an entry that was read; not a rollback. No request."""
        return move if move.restores is None else self.chain.at(move.restores) or move

    def left(self, version: int, *, before: int) -> ChannelEntry | None:
        """The entry that took `version` out of force the last time before entry `before`; None if none did."""
        earlier = (move for move in reversed(self.chain.entries) if move.number < before)
        return next((move for move in earlier if move.previous == version and move.version != version), None)

    def _last_with(self, version: int, *, before: ChannelEntry) -> ChannelEntry:
        if version == before.version:
            raise NothingToRollBackTo(self.name, expected=f"version {version} as an earlier one", actual="it in force")
        for move in reversed(self.chain.entries):
            if move.number < before.number and move.version == version:
                return move
        raise NothingToRollBackTo(self.name, expected=f"version {version}", actual="it was never in force here")

    def _check_restored(self, _before: ChannelEntry | None, move: ChannelEntry) -> None:
        """HistoryBroken if a rollback restores what no move forward activated: that was never decided.

        What was put into force is kept in 8 bytes a move, for walks that keep no moves.
        """
        self._forward.extend([0] * (move.number + 1 - len(self._forward)))
        self._forward[move.number] = 0
        named = int.from_bytes(hashlib.sha256(f"{move.version} {move.digest}".encode()).digest()[:8])
        if move.restores is None:
            self._forward[move.number] = named
        elif self._forward[move.restores] != named:
            raise HistoryBroken(
                f"channel {self.name}",
                expected=f"entry {move.number} to restore what entry {move.restores} put into force",
                actual=f"version {move.version} ({move.digest}), written by {move.by} at {move.at}",
            )

    def _parse(self, number: int, body: bytes) -> ChannelEntry:
        move = ChannelEntry.from_bytes(body)
        if move.channel != self.name:
            raise MoveMalformed(f"an entry of channel {move.channel}", key=self._log.key(number))
        if move.number != number:
            raise HistoryBroken(f"channel {self.name}", expected=f"entry {number}", actual=f"entry {move.number}")
        return move


def _number(move: ChannelEntry | None) -> int:
    return move.number if move else 0
