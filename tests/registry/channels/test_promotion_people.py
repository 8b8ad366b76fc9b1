"""Who may promote: trainers, certifiers, movers, one person and two."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from registry.certificates.certificate import Decision
from registry.channel_policy import ChannelPolicy
from registry.channels.promotion import certify
from registry.errors import (
    MoverRefused,
    SamePerson,
    SelfCertified,
)
from tests.registry.channels.conftest import MIA, NOW, OPEN, PASSED, SIGNER, VERA, Park

# --- people ---

ANA = "arn:aws:sts::1:assumed-role/publisher/ana"
MACHINE = "arn:aws:sts::1:assumed-role/training/i-0123"


def sign(park: Park, number: int, *, by: str, decision: Decision = "certified") -> None:
    certify(
        park.certificates, park.catalog.version(number),
        decision=decision, signer=SIGNER, by=by, report_sha256=None, expires_at=NOW + timedelta(days=1), note="x",
    )  # fmt: skip


@pytest.fixture
def trained(park: Park, files: dict[str, Path]) -> int:
    """A version that a machine trained because Ana requested it."""
    lineage = {"run": "r-3", "trained_by": MACHINE, "requested_by": ANA}
    return park.catalog.publish(files, labels=["cat"], metrics=PASSED, lineage=lineage).number


@pytest.mark.parametrize(
    "by",
    [
        ANA,
        ANA.replace("publisher", "certifier"),
        MACHINE,
        MACHINE.replace("i-0123", "i-4567"),
        "arn:aws:iam::1:user/ana",
    ],
    ids=["the one who asked", "in another role", "the machine", "another machine of its kind", "as a user"],
)
def test_who_trained_a_version_cannot_certify_or_refuse_it_but_can_stop_it(park: Park, trained: int, by: str) -> None:
    for decision in ("certified", "refused"):
        with pytest.raises(SelfCertified):
            sign(park, trained, by=by, decision=decision)
    sign(park, trained, by=by, decision="revoked")
    assert [certificate.decision for certificate in park.certificates.of(park.catalog.version(trained))] == ["revoked"]


def test_somebody_else_certifies_and_a_third_promotes(park: Park, trained: int) -> None:
    sign(park, trained, by=VERA)
    assert park.promote(trained, by=MIA) == trained


def test_who_certified_a_version_cannot_promote_it_where_the_channel_wants_two_people(park: Park, trained: int) -> None:
    sign(park, trained, by=VERA)
    with pytest.raises(SamePerson, match="vera"):
        park.promote(trained, by=VERA.replace("certifier", "promoter"))
    assert park.prod.head() is None
    assert park.promote(trained, by=VERA, policy=ChannelPolicy(two_people=False)) == trained


def test_one_person_alone_can_roll_back_at_night(park: Park) -> None:
    for number in (1, 2):
        sign(park, number, by=VERA)
        park.promote(number, by=MIA)
    assert park.roll_back(by=VERA) == 1


def test_a_channel_with_movers_is_moved_by_them_only_forward_and_back(park: Park) -> None:
    policy = replace(OPEN, movers=("mia", "leo"))
    for number in (1, 2):
        park.promote(number, by=MIA, policy=policy)
    with pytest.raises(MoverRefused, match="mia or leo"):
        park.promote(1, by=VERA, policy=policy)
    with pytest.raises(MoverRefused):
        park.roll_back(by=VERA, policy=policy)
    assert park.roll_back(by=MIA, policy=policy) == 1


def test_a_certificate_by_who_trained_the_version_opens_no_channel(park: Park, trained: int) -> None:
    """Signed around `certify`, by kms:Sign and PutObject."""
    park.certificates.sign(
        park.catalog.version(trained), decision="certified", signer=SIGNER, by=ANA.replace("publisher", "certifier"),
        report_sha256=None, expires_at=NOW + timedelta(days=1), note="x",
    )  # fmt: skip
    with pytest.raises(SelfCertified):
        park.promote(trained, by=MIA)
