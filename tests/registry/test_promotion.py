"""The rule of the channels that ask for certificates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry import promotion
from registry.catalog import Catalog
from registry.certificate import Certificates, Decision
from registry.channel import Channel
from registry.errors import ChannelMoved, DigestMismatch, NotCertified, VersionMissing
from registry.object_store import ObjectStore
from registry.signing import MemorySigner, MemoryVerifier
from registry.version import StoredFile, Version

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIGNER = MemorySigner()


class Park:
    """Two versions, channel prod, and somebody who may certify."""

    def __init__(self, store: ObjectStore, files: dict[str, Path]) -> None:
        self.catalog = Catalog(store, "pets")
        self.prod = Channel(store, "pets", "prod")
        self.certificates = Certificates(store, "pets", clock=lambda: NOW)
        for run in ("r-1", "r-2"):
            self.catalog.publish(files, labels=["cat", "dog"], metrics={}, lineage={"run": run})

    def decide(self, number: int, decision: Decision = "certified") -> None:
        self.certificates.sign(
            self.catalog.version(number),
            decision=decision,
            signer=SIGNER,
            by="vera",
            report_sha256=None,
            expires_at=NOW + timedelta(days=1),
            note="",
        )

    def promote(self, number: int, *, certified: bool = True, expected: int | None = None, now: datetime = NOW) -> int:
        verifier = MemoryVerifier(SIGNER) if certified else None
        return promotion.promote(
            self.catalog, self.prod, self.certificates, number,
            verifier=verifier, by="mia", why="better", expected=expected, now=now,
        ).version  # fmt: skip

    def roll_back(self, *, certified: bool = True, to: int | None = None) -> int:
        verifier = MemoryVerifier(SIGNER) if certified else None
        return promotion.roll_back(
            self.catalog, self.prod, self.certificates, verifier=verifier, by="mia", why="worse", to=to, now=NOW
        ).version


@pytest.fixture
def park(store: ObjectStore, files: dict[str, Path]) -> Park:
    return Park(store, files)


def test_prod_moves_to_a_certified_version_only(park: Park) -> None:
    with pytest.raises(NotCertified):
        park.promote(1)
    assert park.prod.head() is None
    park.decide(1)
    assert park.promote(1) == 1


def test_prod_does_not_move_to_an_expired_certificate(park: Park) -> None:
    park.decide(1)
    with pytest.raises(NotCertified):
        park.promote(1, now=NOW + timedelta(days=2))


def test_a_channel_that_asks_for_no_certificate_moves_to_any_version(park: Park) -> None:
    assert park.promote(2, certified=False) == 2


def test_a_version_that_does_not_exist_cannot_be_promoted(park: Park) -> None:
    with pytest.raises(VersionMissing):
        park.promote(9, certified=False)


def test_a_promotion_can_name_the_entry_it_is_based_on(park: Park) -> None:
    park.promote(1, certified=False, expected=0)
    with pytest.raises(ChannelMoved):
        park.promote(2, certified=False, expected=0)


def test_prod_does_not_roll_back_to_what_was_revoked(park: Park) -> None:
    for number in (1, 2):
        park.decide(number)
        park.promote(number)
    park.decide(1, "revoked")
    with pytest.raises(NotCertified):
        park.roll_back()
    assert [move.version for move in park.prod.history()] == [1, 2]
    park.decide(1)
    assert park.roll_back() == 1


def test_a_roll_back_checks_the_version_it_really_brings_back(park: Park) -> None:
    """After a roll back, the version before is not the one that was just taken out of force."""
    for number in (1, 2, 1):
        park.decide(number)
        park.promote(number)
    assert park.roll_back() == 2
    park.decide(1, "revoked")
    with pytest.raises(NotCertified):
        park.roll_back()


def test_a_roll_back_to_replaced_bytes_is_refused(park: Park) -> None:
    impostor = Version(
        model="pets",
        number=1,
        created_at="2026-01-01T00:00:00.000000Z",
        files=(StoredFile(name="model.onnx", sha256="a" * 64, bytes=1),),
        labels=(),
        metrics={},
        lineage={},
    )
    park.prod.move(impostor, by="eve", why="?")
    park.promote(2, certified=False)
    with pytest.raises(DigestMismatch):
        park.roll_back(certified=False)
