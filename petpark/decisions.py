"""The human decisions about a version: certify it, let a channel move to it, move a channel back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.errors import ChannelUnknown, ReportMissing
from petpark.target import Target
from registry.channel_policy import STRICT, ChannelPolicy
from registry.identity import person
from registry.layout import Role

if TYPE_CHECKING:
    from registry.certificate import Certificate, Decision
    from registry.channel import Move
    from registry.promotion import Desk
    from registry.version import Version

type Clock = Callable[[], datetime]

REPORT = "report.html"
"""The file of a version that people read before they decide."""


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def certify(
    target: Target,
    number: int,
    *,
    decision: Decision,
    note: str,
    report: Path | None = None,
    days: int = 90,
    clock: Clock = now,
) -> Certificate:
    """Sign `decision` about exactly the bytes of version `number`, as the stack's certifier.

    The certificate names `report` by its hash (by default the version's own); a revocation needs none. Approval ends
    after `days` days; a refusal or revocation does not end.
    Raises `ReportMissing`, or the registry's `ReasonMissing`, `VersionMissing`, `SelfCertified` or `DecidedMeanwhile`.
    """
    from registry import promotion
    from registry.catalog import Catalog
    from registry.certificate import Certificates

    store = target.store(target.outputs.model_store, role=Role.CERTIFIER)
    version = Catalog(store, target.outputs.model).version(number)
    return promotion.certify(
        Certificates(store, target.outputs.model, clock=clock),
        version,
        decision=decision,
        signer=target.signer(role=Role.CERTIFIER),
        by=target.identity(role=Role.CERTIFIER),
        report_sha256=_report_hash(version, report, needed=decision != "revoked"),
        expires_at=clock() + timedelta(days=days) if decision == "certified" else None,
        note=note,
    )


def promote(
    target: Target, number: int, *, channel: str, why: str, create_channel: bool = False, clock: Clock = now
) -> Move:
    """Move `channel` to version `number`, as the stack's promoter, by the channel's rule (`rule`).

    A channel lasts for ever once it has an entry. `create_channel` allows one that no stack declares and that has none.
    Raises `ChannelUnknown`, or the registry's `ReasonMissing`, `VersionMissing`, `MoverRefused`, `GatesFailed`,
    `NotCertified`, `SamePerson`, `MetricBelow`, or `ChannelMoved` when somebody else moved the channel meanwhile.
    """
    here = desk(target, channel)
    if not create_channel and channel not in target.outputs.channels and here.channel.head() is None:
        declared = ", ".join(sorted(target.outputs.channels)) or "none"
        raise ChannelUnknown(
            f"There is no channel {channel}. Channels that a stack declares: {declared}.",
            next_step="Correct --channel. To start a channel of that name, which cannot be deleted: --create-channel",
        )
    return here.promote(number, by=target.identity(role=Role.PROMOTER), why=why, now=clock())


@dataclass(frozen=True, kw_only=True)
class Return:
    """A rollback that was carried out."""

    move: Move
    left: Move | None
    """The entry that had taken the version out of force that now came back, and why; None if none is known."""


def roll_back(
    target: Target, *, channel: str, why: str, to: int | None = None, again: bool = False, clock: Clock = now
) -> Return:
    """Move `channel` back to the version before, or to version `to`, as the stack's promoter.

    Of the channel's rule only certificate and movers are asked again: a version whose certificate was revoked or has
    ended does not come back, but a person who notices at night needs no second one. `again` allows a version that was
    rolled back from.
    Raises the registry's `ReasonMissing`, `NothingToRollBackTo`, `RolledBackBefore`, `MoverRefused`, `NotCertified` or
    `ChannelMoved`.
    """
    here = desk(target, channel)
    move = here.roll_back(by=target.identity(role=Role.PROMOTER), why=why, to=to, again=again, now=clock())
    return Return(move=move, left=here.channel.left(move.version, before=move.number))


def rule(target: Target, channel: str) -> ChannelPolicy:
    """What `channel` asks of whoever moves it: what the registry's owner declares, or else the strictest."""
    return target.outputs.channels.get(channel, STRICT)


@dataclass(frozen=True, kw_only=True)
class Successors:
    """Who may promote what `but` certified, on one channel that wants two people for it."""

    channel: str
    but: str
    movers: tuple[str, ...] | None
    """Their names; None: whoever may act as promoter. The certifier is not among them."""


def successors(target: Target, certificate: Certificate) -> list[Successors]:
    """Who may go on from `certificate`, for each channel that is declared and wants two people."""
    certifier = person(certificate.by)
    return [
        Successors(
            channel=name,
            but=certifier,
            movers=tuple(mover for mover in policy.movers if mover != certifier) if policy.movers else None,
        )
        for name, policy in sorted(target.outputs.channels.items())
        if policy.two_people
    ]


def desk(target: Target, channel: str) -> Desk:
    """Where `channel` is moved by its rule, as the stack's promoter."""
    from registry.catalog import Catalog
    from registry.certificate import Certificates
    from registry.channel import Channel
    from registry.promotion import Desk

    model = target.outputs.model
    store = target.store(target.outputs.model_store, role=Role.PROMOTER)
    return Desk(
        catalog=Catalog(store, model),
        channel=Channel(store, model, channel),
        certificates=Certificates(store, model),
        policy=rule(target, channel),
        verifier=target.verifier(role=Role.PROMOTER),
    )


def _report_hash(version: Version, report: Path | None, *, needed: bool) -> str | None:
    if report is not None:
        if not report.is_file():
            raise ReportMissing(
                f"{report} is not a file.", next_step="Give the report that the decision rests on: --report FILE."
            )
        return hashlib.sha256(report.read_bytes()).hexdigest()
    own = version.file(REPORT)
    if own is None and needed:
        raise ReportMissing(
            f"Version {version.number} carries no {REPORT} of its own.",
            next_step="Give the report that the decision rests on: --report FILE.",
        )
    return own.sha256 if own else None
