"""The human decisions about a version: certify it, promote it to a channel, roll a channel back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.errors import CertificateTooLong, ChannelUnknown, ReportMissing
from petpark.targets.target import Target
from registry.channel_policy import STRICT, ChannelPolicy
from registry.clock import Clock, utc_now
from registry.identity import person
from registry.layout.roles import Role

if TYPE_CHECKING:
    from registry.certificates.certificate import Certificate, Decision
    from registry.channels.channel import ChannelEntry
    from registry.channels.promotion import PromotionService
    from registry.version import Version

USUAL_DAYS = 90
"""Default validity of a certificate."""


REPORT = "report.html"
"""The version's file on which decisions are based."""


def certify(
    target: Target,
    number: int,
    *,
    decision: Decision,
    note: str,
    report: Path | None = None,
    days: int | None = None,
    despite: Sequence[str] = (),
    clock: Clock = utc_now,
) -> Certificate:
    """Sign `decision` about exactly the bytes of version `number`, as the stack's certifier.

    The certificate names `report` by its hash (by default the version's own); a revocation needs none. Approval ends
    after `days` days (None: 90, or the longest that the stack allows); a refusal or revocation does not end.
    `despite` names each gate that the version did not pass; the certificate keeps them.
    Raises `ReportMissing`, `CertificateTooLong`, or the registry's `ReasonMissing`, `VersionMissing`, `SelfCertified`,
    `GatesNotNamed` or `DecidedMeanwhile`.
    """
    from registry.certificates.certificate import Certificates
    from registry.channels import promotion
    from registry.versions.catalog import Catalog

    valid = _valid_days(target, days) if decision == "certified" else 0
    store = target.store(target.outputs.model_store, role=Role.CERTIFIER)
    version = Catalog(store, target.outputs.model).version(number)
    return promotion.certify(
        Certificates(store, target.outputs.model, clock=clock),
        version,
        decision=decision,
        signer=target.signer(role=Role.CERTIFIER),
        by=target.identity(role=Role.CERTIFIER),
        report_sha256=_report_hash(version, report, needed=decision != "revoked"),
        expires_at=clock() + timedelta(days=valid) if decision == "certified" else None,
        note=note,
        despite=despite,
    )


def _valid_days(target: Target, days: int | None) -> int:
    longest = target.outputs.certificate_days
    if days is not None and days > longest:
        raise CertificateTooLong(
            f"A certificate is valid for {longest} days at most (petpark:certificate_days); --days is {days}.",
            next_step=f"Use --days {longest}, and review the version again then.",
        )
    return min(USUAL_DAYS, longest) if days is None else days


@dataclass(frozen=True, kw_only=True)
class Consequence:
    """The effect of a refused or revoked version on a channel that has it."""

    channel: str
    version: int
    withdrawn: bool
    """Whether its endpoints stop serving the version: if the channel requires certificates."""
    instead: int | None
    """The version that they serve then, or that a rollback would activate; None if there is none."""

    @property
    def effect(self) -> str:
        """The effect as text, with the command to use next."""
        back = f'petpark rollback --channel {self.channel} --why "…"'
        other = f"petpark models list; petpark certify N …; petpark promote N --channel {self.channel} …"
        if not self.withdrawn:
            stays = f"{self.channel} requires no certificate: its endpoints continue to serve version {self.version}."
            return f"{stays} To take it out of force: {other if self.instead is None else back}"
        if self.instead is None:
            return (
                f"{self.channel} has no other certified version to go back to: its endpoints answer 503 until there is "
                f"one: {other}"
            )
        gone = f"Endpoints that follow {self.channel} go back to version {self.instead} at their next poll"
        return f"{gone}, and report that they do not serve the channel's version. To move the channel, too: {back}"


def consequences(target: Target, number: int, *, clock: Clock = utc_now) -> list[Consequence]:
    """Returns the effect on each channel at version `number`, if that is refused or revoked."""
    from petpark.models import model_versions

    heads = model_versions.channel_heads(target)
    return [
        Consequence(
            channel=name,
            version=number,
            withdrawn=rule(target, name).certificate,
            instead=_instead(target, name, head, clock),
        )
        for name, head in heads.items()
        if head.version == number
    ]


def _instead(target: Target, name: str, head: ChannelEntry, clock: Clock) -> int | None:
    """The newest earlier version that the channel's rule permits."""
    from registry.errors import NotCertified, NothingToRollBackTo

    here = promotion_service(target, name, role=Role.READER)
    here.channel.head()
    move = head
    while True:
        try:
            move = here.channel.before(move)
        except NothingToRollBackTo:
            return None
        if move.version == head.version:
            continue
        try:
            here.check(here.catalog.version(move.version, digest=move.digest), now=clock())
        except NotCertified:
            continue
        return move.version


def promote(
    target: Target, number: int, *, channel: str, why: str, create_channel: bool = False, clock: Clock = utc_now
) -> ChannelEntry:
    """Move `channel` to version `number`, as the stack's promoter, by the channel's rule (`rule`).

    A channel cannot be deleted once it has an entry. `create_channel` allows an undeclared channel without entries.
    Raises `ChannelUnknown`, or the registry's `ReasonMissing`, `VersionMissing`, `MoverRefused`, `GatesFailed`,
    `NotCertified`, `SamePerson`, `MetricBelow`, or `ChannelMoved` if another person moved the channel first.
    """
    here = promotion_service(target, channel)
    if not create_channel and channel not in target.outputs.channels and here.channel.head() is None:
        declared = ", ".join(sorted(target.outputs.channels)) or "none"
        raise ChannelUnknown(
            f"No channel {channel}. Declared channels: {declared}.",
            next_step="Correct --channel. To start a channel of that name, which cannot be deleted: --create-channel",
        )
    return here.promote(number, by=target.identity(role=Role.PROMOTER), why=why, now=clock())


@dataclass(frozen=True, kw_only=True)
class RollbackResult:
    """A rollback that was carried out."""

    move: ChannelEntry
    left: ChannelEntry | None
    """The entry that had replaced the restored version, and why; None if unknown."""


def roll_back(
    target: Target, *, channel: str, why: str, to: int | None = None, again: bool = False, clock: Clock = utc_now
) -> RollbackResult:
    """Move `channel` back to the previous version, or to version `to`, as the stack's promoter.

    Of the channel's rule only certificate and movers are checked again: a version without a valid certificate is
    refused, but one person alone can roll back at night. `again` allows a version that was rolled back from before.
    Raises the registry's `ReasonMissing`, `NothingToRollBackTo`, `RolledBackBefore`, `MoverRefused`, `NotCertified` or
    `ChannelMoved`.
    """
    here = promotion_service(target, channel)
    move = here.roll_back(by=target.identity(role=Role.PROMOTER), why=why, to=to, again=again, now=clock())
    return RollbackResult(move=move, left=here.channel.left(move.version, before=move.number))


def rule(target: Target, channel: str) -> ChannelPolicy:
    """Returns the rule of `channel`, as the stack that owns the registry declares it, else the strictest."""
    return target.outputs.channels.get(channel, STRICT)


@dataclass(frozen=True, kw_only=True)
class Successors:
    """Who may promote a version that `but` certified, on a channel that requires two people."""

    channel: str
    but: str
    movers: tuple[str, ...] | None
    """Their names, without the certifier; None: everybody with the promoter role."""


def successors(target: Target, certificate: Certificate) -> list[Successors]:
    """Returns who may promote after `certificate`, for each declared channel that requires two people."""
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


def promotion_service(target: Target, channel: str, *, role: Role = Role.PROMOTER) -> PromotionService:
    """Returns the service that moves `channel` by its rule, as the stack's promoter; as its reader, read-only."""
    from registry.certificates.certificate import Certificates
    from registry.channels.channel import Channel
    from registry.channels.promotion import PromotionService
    from registry.versions.catalog import Catalog

    model = target.outputs.model
    store = target.store(target.outputs.model_store, role=role)
    return PromotionService(
        catalog=Catalog(store, model),
        channel=Channel(store, model, channel, memory=target.chains()),
        certificates=Certificates(store, model),
        policy=rule(target, channel),
        verifier=target.verifier(role=role),
    )


def _report_hash(version: Version, report: Path | None, *, needed: bool) -> str | None:
    if report is not None:
        if not report.is_file():
            raise ReportMissing(
                f"{report} is not a file.", next_step="Pass the report that the decision is based on: --report FILE."
            )
        return hashlib.sha256(report.read_bytes()).hexdigest()
    own = version.file(REPORT)
    if own is None and needed:
        raise ReportMissing(
            f"Version {version.number} has no {REPORT}.",
            next_step="Pass the report that the decision is based on: --report FILE.",
        )
    return own.sha256 if own else None
