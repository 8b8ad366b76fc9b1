"""The human decisions about a version: certify it, let a channel move to it, move a channel back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.errors import ReportMissing, SelfCertified
from petpark.target import Target
from registry.layout import Role

if TYPE_CHECKING:
    from registry.catalog import Catalog
    from registry.certificate import Certificate, Certificates, Decision, Verifier
    from registry.channel import Channel, Move
    from registry.version import Version

type Clock = Callable[[], datetime]

OPEN_CHANNELS = frozenset({"test"})
"""Channels that take a version before anyone has signed for it: where it is tried so that someone can."""

_REPORT = "report.html"


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

    The certificate names `report` by its hash (by default the version's own). Approval ends after `days` days; a
    refusal or revocation does not end.
    Raises `SelfCertified`, `ReportMissing`, or the registry's `VersionMissing` or `DecidedMeanwhile`.
    """
    from registry.catalog import Catalog
    from registry.certificate import Certificates

    store = target.store(target.outputs.model_store, role=Role.CERTIFIER)
    version = Catalog(store, target.outputs.model).version(number)
    by = target.identity(role=Role.CERTIFIER)
    _refuse_own_work(version, by)
    return Certificates(store, target.outputs.model).sign(
        version,
        decision=decision,
        signer=target.signer(role=Role.CERTIFIER),
        by=by,
        report_sha256=_report_hash(version, report),
        expires_at=clock() + timedelta(days=days) if decision == "certified" else None,
        note=note,
    )


def promote(target: Target, number: int, *, channel: str, why: str, clock: Clock = now) -> Move:
    """Move `channel` to version `number`, as the stack's promoter.

    Every channel but `test` takes only a certified version. Raises the registry's `VersionMissing`,
    `NotCertified`, or `ChannelMoved` when somebody else moved the channel meanwhile.
    """
    from registry import promotion

    desk = _desk(target, channel)
    head = desk.channel.head()
    return promotion.promote(
        desk.catalog,
        desk.channel,
        desk.certificates,
        number,
        verifier=desk.verifier,
        by=desk.by,
        why=why,
        expected=0 if head is None else head.number,
        now=clock(),
    )


def roll_back(target: Target, *, channel: str, why: str, to: int | None = None, clock: Clock = now) -> Move:
    """Move `channel` back to the version before, or to version `to`, as the stack's promoter.

    The same rule holds as for `promote`: a version whose certificate was revoked or has ended is not gone back to.
    Raises the registry's `NothingToRollBackTo`, `NotCertified` or `ChannelMoved`.
    """
    from registry import promotion

    desk = _desk(target, channel)
    return promotion.roll_back(
        desk.catalog,
        desk.channel,
        desk.certificates,
        verifier=desk.verifier,
        by=desk.by,
        why=why,
        to=to,
        now=clock(),
    )


@dataclass(frozen=True, kw_only=True)
class _Desk:
    """What a promoter has in hand; `verifier` is None where the channel asks for no certificate."""

    catalog: Catalog
    channel: Channel
    certificates: Certificates
    verifier: Verifier | None
    by: str


def _desk(target: Target, channel: str) -> _Desk:
    from registry.catalog import Catalog
    from registry.certificate import Certificates
    from registry.channel import Channel

    model = target.outputs.model
    store = target.store(target.outputs.model_store, role=Role.PROMOTER)
    return _Desk(
        catalog=Catalog(store, model),
        channel=Channel(store, model, channel),
        certificates=Certificates(store, model),
        verifier=None if channel in OPEN_CHANNELS else target.verifier(role=Role.PROMOTER),
        by=target.identity(role=Role.PROMOTER),
    )


def _refuse_own_work(version: Version, by: str) -> None:
    trained_by = version.lineage.get("trained_by")
    if trained_by is not None and _principal(trained_by) == _principal(by):
        raise SelfCertified(
            f"Version {version.number} was trained by {trained_by}, who cannot sign for it as {by}.",
            next_step="Ask someone else to certify it.",
            version=version.number,
            trained_by=trained_by,
            by=by,
        )


def _principal(arn: str) -> str:
    """An assumed role without its session's name: two sessions of one role are one principal."""
    kind, slash, rest = arn.rpartition(":")[2].partition("/")
    return f"{arn.rpartition(':')[0]}:{kind}{slash}{rest.partition('/')[0] if kind == 'assumed-role' else rest}"


def _report_hash(version: Version, report: Path | None) -> str:
    if report is not None:
        if not report.is_file():
            raise ReportMissing(
                f"{report} is not a file.", next_step="Give the report that the decision rests on: --report FILE."
            )
        return hashlib.sha256(report.read_bytes()).hexdigest()
    own = next((file.sha256 for file in version.files if file.name == _REPORT), None)
    if own is None:
        raise ReportMissing(
            f"Version {version.number} carries no {_REPORT} of its own.",
            next_step="Give the report that the decision rests on: --report FILE.",
        )
    return own
