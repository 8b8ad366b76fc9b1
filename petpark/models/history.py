"""A channel's history, and the proof that it was not rewritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from petpark.models import model_versions
from petpark.models.proof import Proof, failed, prove
from petpark.targets.target import Target
from registry.layout import Role
from registry.store.transfer import REQUESTS_AT_ONCE, in_order

if TYPE_CHECKING:
    from registry.channels.channel import ChannelEntry
    from registry.maintenance.fsck import ChannelStatus


@dataclass(frozen=True, kw_only=True)
class History:
    """The last moves of a channel, oldest first, `total` of all that there were."""

    channel: str
    moves: Sequence[ChannelEntry]
    total: int


@dataclass(frozen=True, kw_only=True)
class ProvenHistory:
    """What a proof of a channel's whole history found; `head` is the current move, if the chain is intact."""

    channel: str
    proofs: Sequence[Proof]
    moves: int
    head: ChannelEntry | None

    @property
    def sound(self) -> bool:
        """Whether it was not rewritten, as far as can be determined."""
        return all(proof.ok for proof in self.proofs)


def history(target: Target, channel: str, *, last: int = 20) -> History:
    """The last moves of `channel`; raises the registry's `HistoryBroken` where they do not belong together."""
    moves = model_versions.channel(target, channel).recent(last)
    return History(channel=channel, moves=moves, total=moves[-1].number if moves else 0)


def prove_history(target: Target, channel: str, *, since: str | None = None) -> ProvenHistory:
    """Prove that `channel` has only ever grown: its chain of hashes, the bucket's memory, the versions it names.

    Entries are read one by one and not kept.

    `since`: the SHA-256 of an entry that was noted elsewhere. That it is still there is what shows that nobody took
    back the newest entries, for nothing later carries their hashes.
    """
    from registry.maintenance.fsck import Inspection, Severity, inspect_channel

    store, model = target.store(target.outputs.model_store, role=Role.READER), target.outputs.model
    seen = Inspection()
    model_versions.channel(target, channel)  # refuses a name that is none
    named: dict[tuple[int, str], int] = {}
    noted: list[int] = []

    def see(move: ChannelEntry) -> None:
        named.setdefault((move.version, move.digest), move.number)
        if since is not None and move.sha256 == since:
            noted.append(move.number)

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
            proofs += [prove("noted entry", lambda: _still_there(channel, look, since, noted))]
    return ProvenHistory(channel=channel, proofs=proofs, moves=look.moves, head=look.head)


def _versions(target: Target, named: Mapping[tuple[int, str], int]) -> list[Proof]:
    """Check that each version that the channel ever had exists, with the digest in its entry."""
    from registry.versions.catalog import Catalog

    catalog = Catalog(target.store(target.outputs.model_store, role=Role.READER), target.outputs.model)

    def look(first: tuple[tuple[int, str], int]) -> Proof:
        (version, digest), move = first
        return prove(f"move {move}", lambda: catalog.version(version, digest=digest).title)

    proofs = in_order(look, named.items(), at_once=REQUESTS_AT_ONCE, waiting=REQUESTS_AT_ONCE)
    wrong = [proof for proof in proofs if not proof.ok]
    count = len({version for version, _ in named})
    return wrong or [Proof(what="versions", detail=f"{count} named, each there with the digest that was moved to")]


def _still_there(channel: str, look: ChannelStatus, since: str, noted: Sequence[int]) -> str:
    from registry.errors import HistoryBroken

    if not noted:
        raise HistoryBroken(
            f"channel {channel}",
            expected=f"the noted entry with hash {since}",
            actual=_count(look.moves, "none with that hash: the newest were taken back, or it is of another channel"),
        )
    last = look.head.number if look.head else 0
    return f"it is move {noted[0]}, and {last - noted[0]} came behind it"


def _count(moves: int, what: str) -> str:
    return f"{moves} move{'' if moves == 1 else 's'}, {what}"
