"""The rule in one place: a channel that asks for certificates moves, forward or back, only to a certified version.

The endpoints hold the same rule by themselves (`Certificates.require` before they load anything), so a writer that goes
around this module can move a channel, but nothing uncertified is ever served from it.
"""

from datetime import UTC, datetime

from registry.catalog import Catalog
from registry.certificate import Certificates
from registry.channel import Channel, Move
from registry.signing import Verifier


def promote(
    catalog: Catalog,
    channel: Channel,
    certificates: Certificates,
    version: int,
    *,
    verifier: Verifier | None,
    by: str,
    why: str,
    expected: int | None = None,
    now: datetime | None = None,
) -> Move:
    """Put `version` in force in `channel`. `verifier`: the channel asks for a certificate; None: it does not.

    `expected` is the channel entry that the decision was based on (`Channel.move`).
    Raises VersionMissing, NotCertified, ChannelMoved.
    """
    wanted = catalog.version(version)
    if verifier is not None:
        certificates.require(wanted, verifier, now=now or datetime.now(UTC))
    return channel.move(wanted, by=by, why=why, expected=expected)


def roll_back(
    catalog: Catalog,
    channel: Channel,
    certificates: Certificates,
    *,
    verifier: Verifier | None,
    by: str,
    why: str,
    to: int | None = None,
    now: datetime | None = None,
) -> Move:
    """Bring back the version that was in force before, or version `to`.

    Raises NothingToRollBackTo, DigestMismatch, ChannelMoved, NotCertified (revoked or expired: name another with `to`).
    """

    def check(target: Move) -> None:
        version = catalog.version(target.version, digest=target.digest)
        if verifier is not None:
            certificates.require(version, verifier, now=now or datetime.now(UTC))

    return channel.roll_back(by=by, why=why, to=to, check=check)
