"""The human decisions and their rules in one place: who may certify, and which version a channel may move to.

Endpoints check the rule about certificates again (`Certificates.require` before they load anything),
and the bucket policy the one about movers, so a writer that goes around this module serves nothing by it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from registry.certificates.certificate import Certificate, Certificates, Decision, require_in_force
from registry.certificates.signing import Signer, Verifier
from registry.channel_policy import ChannelPolicy
from registry.channels.channel import Channel, ChannelEntry
from registry.channels.two_people import refuse_same_person, refuse_trainer
from registry.clock import utc_now
from registry.errors import (
    DecidedAfterMove,
    GatesFailed,
    GatesNotNamed,
    KeyUnavailable,
    LogShorter,
    MetricBelow,
    MoverRefused,
    NotCertified,
    ReasonMissing,
    RolledBackBefore,
    StoreUnavailable,
)
from registry.gates import failed, judged, open_gates
from registry.identity import person
from registry.version import Version
from registry.versions.catalog import Catalog


def certify(
    certificates: Certificates,
    version: Version,
    *,
    decision: Decision,
    signer: Signer,
    by: str,
    report_sha256: str | None,
    expires_at: datetime | None,
    note: str,
    despite: Collection[str] = (),
) -> Certificate:
    """Sign a decision about `version` by a person who did not train it.

    `despite` names each gate that it did not pass, if it is to be certified all the same. Raises
    ReasonMissing (a blank note), SelfCertified, GatesNotNamed, and what `sign` raises.

    Anybody may revoke: who sees a danger in their own work must be able to stop it.
    """
    require_reason("a note", note)
    if decision != "revoked":
        refuse_trainer(version.title, version.lineage, by=by)
    if decision == "certified":
        refuse_unnamed(version, despite=despite)
    return certificates.sign(
        version,
        decision=decision,
        signer=signer,
        by=by,
        report_sha256=report_sha256,
        expires_at=expires_at,
        note=note,
        despite=tuple(sorted(set(despite))) if decision == "certified" else (),
    )


def refuse_unnamed(version: Version, *, despite: Collection[str]) -> None:
    """GatesNotNamed unless `despite` names exactly the gates that stand against `version`."""
    against = open_gates(version.metrics)
    if set(despite) != set(against):
        raise GatesNotNamed(version.title, number=version.number, against=against, despite=tuple(despite))


def require_reason(what: str, text: str) -> None:
    """ReasonMissing if `text`, which the log keeps as `what`, is blank, or no text: bytes of another encoding."""
    if not text.strip():
        raise ReasonMissing(what)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ReasonMissing(what, f"{text!a}, whose bytes are no UTF-8") from None


@dataclass(frozen=True, kw_only=True)
class PromotionService:
    """One channel with its rule, and what is needed to enforce it. `verifier` has the certifiers' key."""

    catalog: Catalog
    channel: Channel
    certificates: Certificates
    policy: ChannelPolicy
    verifier: Verifier

    def promote(
        self, number: int, *, by: str, why: str, expected: int | None = None, now: datetime | None = None
    ) -> ChannelEntry:
        """Set the channel to version `number`. `expected`: the channel entry that the decision was based on.

        Raises ReasonMissing, VersionMissing, MoverRefused, GatesFailed, NotCertified, SamePerson, MetricBelow,
        ChannelMoved; DecidedAfterMove if the channel was moved and a decision against the version arrived during the
        move.
        """
        require_reason("a reason", why)
        version = self.candidate(number, by=by, now=now)
        head = self.channel.head()
        if self.policy.metric is not None and head is not None:
            self._refuse_worse(version, self.catalog.version(head.version, digest=head.digest), self.policy.metric)
        based_on = expected if expected is not None else head.number if head else 0
        move = self.channel.move(version, by=by, why=why, expected=based_on)
        self._look_back(move, version, now)
        return move

    def candidate(self, number: int, *, by: str, now: datetime | None = None) -> Version:
        """Returns version `number` if `by` may promote it, as far as that does not depend on the active version.

        Raises VersionMissing, MoverRefused, GatesFailed, NotCertified, SamePerson.
        """
        self._refuse_stranger(by)
        version = self.catalog.version(number)
        self._refuse_failed(version)  # before its certificate: a failed version needs no further requests
        certificate = self.check(version, now)
        if self.policy.two_people and certificate is not None:
            refuse_same_person(self.channel.name, version.title, certificates=[certificate], by=by)
        return version

    def roll_back(
        self,
        *,
        by: str,
        why: str,
        to: int | None = None,
        expected: int | None = None,
        again: bool = False,
        now: datetime | None = None,
    ) -> ChannelEntry:
        """Bring back the previous version, or version `to`.

        `expected`: the channel entry that the decision was based on. `again`: also a version that was rolled back from.
        It was promoted once, so only what may have changed since is checked again: a valid certificate, and a mover's
        name. Anyone who notices at night must not need a second person.
        Raises ReasonMissing, NothingToRollBackTo, RolledBackBefore, MoverRefused, DigestMismatch, ChannelMoved,
        NotCertified (revoked or expired: name another with `to`); DecidedAfterMove as `promote` does.
        """
        require_reason("a reason", why)
        self._refuse_stranger(by)

        def check(target: ChannelEntry) -> None:
            self.check(self.catalog.version(target.version, digest=target.digest), now)
            if not again:
                self._refuse_left(target.version)

        move = self.channel.roll_back(by=by, why=why, to=to, expected=expected, check=check)
        self._look_back(move, self.catalog.version(move.version, digest=move.digest), now)
        return move

    def check(self, version: Version, now: datetime | None) -> Certificate | None:
        """The valid certificate. If the channel requires none: NotCertified only if the version was revoked."""
        now = now or utc_now()
        if self.policy.certificate:
            certificate = self.certificates.require(version, self.verifier, now=now)
            refuse_trainer(version.title, version.lineage, by=certificate.by)  # as endpoints do
            return certificate
        look = self.certificates.look(version, self.verifier)
        if look.latest is not None and look.latest.decision == "revoked":
            require_in_force(look, version, now=now)
        return None

    def _look_back(self, move: ChannelEntry, version: Version, now: datetime | None) -> None:
        """DecidedAfterMove if the version may not be where it was put just now.

        If the store does not answer any more, the move is written nevertheless.
        """
        try:
            self.check(version, now)
        except NotCertified as error:
            raise DecidedAfterMove(
                move.channel, entry=move.number, version=move.version, actual=error.actual
            ) from error
        except (StoreUnavailable, KeyUnavailable, LogShorter):
            return

    def _refuse_left(self, version: int) -> None:
        """RolledBackBefore if `version` went out of force by a rollback the last time."""
        head = self.channel.head()
        left = self.channel.left(version, before=head.number + 1) if head else None
        if left is not None and left.is_rollback:
            sentence = f"at {left.at} for version {left.version} by {left.by} ({left.why})"
            raise RolledBackBefore(self.channel.name, version, left=sentence)

    def _refuse_stranger(self, by: str) -> None:
        if self.policy.movers and person(by) not in self.policy.movers:
            raise MoverRefused(self.channel.name, by=by, movers=self.policy.movers)

    def _refuse_failed(self, version: Version) -> None:
        names = failed(version.metrics)
        # A version that was not checked is treated like one that failed.
        if self.policy.gates and (names or not judged(version.metrics)):
            raise GatesFailed(self.channel.name, version.title, number=version.number, failed=names)

    def _refuse_worse(self, version: Version, in_place: Version, metric: str) -> None:
        least, actual = in_place.metrics.get(metric), version.metrics.get(metric)
        if least is not None and (actual is None or actual < least):
            raise MetricBelow(
                version.title, metric=metric, least=least, actual=actual, in_place=f"version {in_place.number}"
            )
