"""A channel's history, and the proof that it was not rewritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from petpark.models import model_versions
from petpark.models.proof import Proof, failed, prove
from petpark.targets.target import Target
from registry.layout.roles import Role
from registry.store.transfer import REQUESTS_AT_ONCE, in_order

if TYPE_CHECKING:
    from registry.channels.channel import ChannelEntry
    from registry.maintenance.fsck import ChannelStatus


@dataclass(frozen=True, kw_only=True)
class History:
    """The last entries of a channel, oldest first; `total` is the number of all entries."""

    channel: str
    moves: Sequence[ChannelEntry]
    total: int


@dataclass(frozen=True, kw_only=True)
class ProvenHistory:
    """The results of proving a channel's history; `head` is the current entry, if the chain is intact."""

    channel: str
    proofs: Sequence[Proof]
    moves: int
    head: ChannelEntry | None

    @property
    def sound(self) -> bool:
        """Whether it was not rewritten, as far as can be determined."""
        return all(proof.ok for proof in self.proofs)


def history(target: Target, channel: str, *, last: int = 20) -> History:
    """Returns the last entries of `channel`. Raises the registry's `HistoryBroken` if their hashes do not match."""
    moves = model_versions.channel(target, channel).recent(last)
    return History(channel=channel, moves=moves, total=moves[-1].number if moves else 0)


def prove_history(target: Target, channel: str, *, since: str | None = None) -> ProvenHistory:
    """Prove that entries of `channel` were only ever added: by hash chain, the bucket's object versions and its models.

    Returns the results. Entries are read one by one and not kept.

    `since`: the SHA-256 of an entry, stored elsewhere. Finding it shows that the newest entries were not removed: no
    later entry has their hashes.
    """
    from registry.maintenance.fsck import Inspection, Severity, inspect_channel

    store, model = target.store(target.outputs.model_store, role=Role.READER), target.outputs.model
    seen = Inspection()
    model_versions.channel(target, channel)  # raises for a malformed name
    named: dict[tuple[int, str], int] = {}
    found: list[int] = []

    def see(move: ChannelEntry) -> None:
        named.setdefault((move.version, move.digest), move.number)
        if since is not None and move.sha256 == since:
            found.append(move.number)

    look = inspect_channel(store, model, channel, None, seen, see=see)
    broken = [failed("chain", found.error) for found in seen.findings if found.severity is Severity.DAMAGE]
    rewritten = [
        failed("first writes", found.error) for found in seen.findings if found.severity is not Severity.DAMAGE
    ]
    chain = _count(look.moves, "each with the hash of the one before") if look.moves else "it was never moved"
    proofs = broken or [Proof(what="chain", detail=chain)]
    proofs += rewritten or [Proof(what="first writes", detail="the bucket has no other revision of any entry")]
    if not broken:
        proofs += _versions(target, named)
        if since is not None:
            proofs += [prove("known entry", lambda: _require_present(channel, look, since, found))]
    return ProvenHistory(channel=channel, proofs=proofs, moves=look.moves, head=look.head)


def _versions(target: Target, named: Mapping[tuple[int, str], int]) -> list[Proof]:
    """Checks that each version of the channel's entries exists and has the entry's digest."""
    from registry.versions.catalog import Catalog

    catalog = Catalog(target.store(target.outputs.model_store, role=Role.READER), target.outputs.model)

    def look(first: tuple[tuple[int, str], int]) -> Proof:
        (version, digest), move = first
        return prove(f"move {move}", lambda: catalog.version(version, digest=digest).title)

    proofs = in_order(look, named.items(), at_once=REQUESTS_AT_ONCE, waiting=REQUESTS_AT_ONCE)
    wrong = [proof for proof in proofs if not proof.ok]
    count = len({version for version, _ in named})
    return wrong or [Proof(what="versions", detail=f"{count} named, each with the digest in its entry")]


def _require_present(channel: str, look: ChannelStatus, since: str, found: Sequence[int]) -> str:
    from registry.errors import HistoryBroken

    if not found:
        raise HistoryBroken(
            f"channel {channel}",
            expected=f"the entry with hash {since}",
            actual=_count(look.moves, "none with that hash: the newest were removed, or it is of another channel"),
        )
    last = look.head.number if look.head else 0
    return f"it is move {found[0]}, followed by {last - found[0]} more"


def _count(moves: int, what: str) -> str:
    return f"{moves} move{'' if moves == 1 else 's'}, {what}"
