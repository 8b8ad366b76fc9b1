"""The rule of the channels that ask for certificates."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from registry.certificates.certificate import Decision
from registry.channel_policy import STRICT
from registry.channels.channel import Channel
from registry.channels.promotion import certify
from registry.errors import (
    ChannelMoved,
    DecidedAfterMove,
    DigestMismatch,
    GatesFailed,
    GatesNotNamed,
    MetricBelow,
    NotCertified,
    ReasonMissing,
    RolledBackBefore,
    VersionMissing,
)
from registry.version import StoredFile, Version
from tests.registry.channels.conftest import MIA, NOW, OPEN, SIGNER, VERA, Park


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
    assert park.promote(2, policy=OPEN) == 2


def test_a_channel_that_asks_for_no_certificate_does_not_move_to_a_revoked_version(park: Park) -> None:
    park.decide(1)
    park.decide(1, "revoked")
    with pytest.raises(NotCertified) as refused:
        park.promote(1, policy=OPEN)
    assert refused.value.reason == "revoked"
    assert park.prod.history() == []
    park.decide(2, "refused")
    assert park.promote(2, policy=OPEN) == 2  # it was tried, and not withdrawn from service


def test_a_version_that_does_not_exist_cannot_be_promoted(park: Park) -> None:
    with pytest.raises(VersionMissing):
        park.promote(9, policy=OPEN)


def test_a_promotion_can_name_the_entry_it_is_based_on(park: Park) -> None:
    park.promote(1, policy=OPEN, expected=0)
    with pytest.raises(ChannelMoved):
        park.promote(2, policy=OPEN, expected=0)


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
    """After a rollback, the version before is not the one that was just taken out of force."""
    for number in (1, 2, 1):
        park.decide(number)
        park.promote(number)
    assert park.roll_back() == 2
    park.decide(1, "revoked")
    with pytest.raises(NotCertified):
        park.roll_back(again=True)


def test_a_second_roll_back_does_not_return_to_what_the_first_left_unless_somebody_says_so(park: Park) -> None:
    for number in (1, 2, 1):
        park.promote(number, policy=OPEN)
    assert park.roll_back(policy=OPEN) == 2
    for to in (None, 1):
        with pytest.raises(RolledBackBefore, match=r"version 1, left at .* for version 2 by mia \(worse\)"):
            park.roll_back(policy=OPEN, to=to)
    assert [move.version for move in park.prod.history()] == [1, 2, 1, 2]
    assert park.roll_back(policy=OPEN, again=True) == 1


def test_a_version_that_was_promoted_again_since_is_no_longer_one_that_was_rolled_back_from(park: Park) -> None:
    for number in (1, 2):
        park.promote(number, policy=OPEN)
    assert park.roll_back(policy=OPEN) == 1
    with pytest.raises(RolledBackBefore):
        park.roll_back(policy=OPEN, to=2)
    park.promote(2, policy=OPEN)  # repaired around it, say
    park.promote(1, policy=OPEN)
    assert park.roll_back(policy=OPEN) == 2


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
    park.promote(2, policy=OPEN)
    with pytest.raises(DigestMismatch):
        park.roll_back(policy=OPEN)


# --- gates ---


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ({"gate_accuracy": 1.0, "gate_recall": 0.0, "gate_consistency": 0.0}, "failed: consistency, recall"),
        ({"accuracy": 1.0}, "no gates were checked"),
    ],
    ids=["failed two", "never judged"],
)
def test_a_version_that_did_not_pass_all_gates_stays_out_of_a_channel_that_asks_for_them(
    park: Park, files: dict[str, Path], metrics: dict[str, float], told: str
) -> None:
    number = park.catalog.publish(files, labels=["cat"], metrics=metrics, lineage={"run": "g-1"}).number
    park.decide(number)
    with pytest.raises(GatesFailed, match=told) as refused:
        park.promote(number)
    assert f"petpark models report {number}" in refused.value.next
    assert "petpark:channels" in refused.value.next
    assert park.prod.head() is None
    assert park.promote(number, policy=replace(STRICT, gates=False)) == number


def test_a_version_that_failed_gates_is_refused_before_anybody_has_to_certify_it(
    park: Park, files: dict[str, Path]
) -> None:
    number = park.catalog.publish(files, labels=["cat"], metrics={"gate_recall": 0.0}, lineage={"run": "g-1"}).number
    with pytest.raises(GatesFailed):
        park.promote(number)


@pytest.mark.parametrize("back", [False, True], ids=["promoting", "rolling back"])
def test_a_revocation_that_lands_during_a_move_is_said(park: Park, monkeypatch: pytest.MonkeyPatch, back: bool) -> None:
    for number in (1, 2):
        park.decide(number)
    park.promote(1)
    if back:
        park.promote(2)
    move = Channel._append

    def slowly(*args: Any, **how: Any) -> Any:
        park.decide(1 if back else 2, "revoked")
        return move(*args, **how)

    monkeypatch.setattr(Channel, "_append", slowly)
    with pytest.raises(DecidedAfterMove, match="petpark rollback --channel prod") as said:
        _ = park.roll_back() if back else park.promote(2)
    head = park.prod.head()
    assert head is not None
    assert head.number == said.value.entry, "it was moved, and that is said, too"


def test_going_back_asks_for_no_gates(park: Park, files: dict[str, Path]) -> None:
    """What was in force before the rule came is better than what is being fled from."""
    number = park.catalog.publish(files, labels=["cat"], metrics={"gate_recall": 0.0}, lineage={"run": "g-1"}).number
    for each in (number, 1):
        park.decide(each)
        park.promote(each, policy=replace(STRICT, gates=False))
    assert park.roll_back() == number


# --- a metric that must not fall ---


@pytest.mark.parametrize(
    ("in_place", "wanted", "taken"),
    [
        ({"accuracy": 0.9}, {"accuracy": 0.9}, True),
        ({"accuracy": 0.9}, {"accuracy": 0.91}, True),
        ({"accuracy": 0.9}, {"accuracy": 0.89}, False),
        ({"accuracy": 0.9}, {"recall": 1.0}, False),
        ({"recall": 1.0}, {"accuracy": 0.1}, True),
    ],
    ids=["equal", "better", "worse", "without it", "nothing to compare with"],
)
def test_a_channel_with_a_metric_takes_only_what_is_no_worse(
    park: Park, files: dict[str, Path], in_place: dict[str, float], wanted: dict[str, float], taken: bool
) -> None:
    policy = replace(OPEN, metric="accuracy")
    first, second = (
        park.catalog.publish(files, labels=["cat"], metrics=metrics, lineage={"run": run}).number
        for run, metrics in (("m-1", in_place), ("m-2", wanted))
    )
    assert park.promote(first, policy=policy) == first
    if taken:
        assert park.promote(second, policy=policy) == second
        assert park.roll_back(policy=policy) == first, "back is always allowed"
    else:
        with pytest.raises(MetricBelow, match="accuracy"):
            park.promote(second, policy=policy)
        assert [move.version for move in park.prod.history()] == [first]


REPORT = "a" * 64


def certify_with_gates(park: Park, files: dict[str, Path], *despite: str, decision: Decision = "certified", note="ok"):
    metrics = {"gate_accuracy": 0.0, "gate_luck": 0.0, "gate_recall": 1.0, "unmeasured_luck": 1.0}
    version = park.catalog.publish(files, labels=["cat"], metrics=metrics, lineage={"run": "gated"})
    signed = certify(
        park.certificates,
        version,
        decision=decision,
        signer=SIGNER,
        by=VERA,
        report_sha256=REPORT,
        expires_at=NOW + timedelta(days=3),
        note=note,
        despite=despite,
    )
    (stored,) = park.certificates.of(version)
    assert stored == signed
    return signed


@pytest.mark.parametrize("despite", [(), ("accuracy",), ("accuracy", "luck", "recall"), ("all",)])
def test_a_certificate_despite_gates_names_each_that_was_not_passed_and_no_other(park: Park, files, despite) -> None:
    with pytest.raises(GatesNotNamed) as refused:
        certify_with_gates(park, files, *despite)
    assert refused.value.against == {"accuracy": "failed", "luck": "not measured"}
    assert "version 3" in str(refused.value)
    assert "petpark models report 3" in refused.value.next
    assert park.certificates.of(park.catalog.version(3)) == []


def test_a_certificate_keeps_everything_that_its_signer_stated(park: Park, files) -> None:
    signed = certify_with_gates(park, files, "luck", "accuracy", "luck")
    assert signed.despite == ("accuracy", "luck")
    assert (signed.by, signed.note, signed.report_sha256) == (VERA, "ok", REPORT)
    assert (signed.decision, signed.number, signed.version) == ("certified", 1, 3)
    assert (signed.at, signed.expires_at) == ("2026-01-01T00:00:00.000000Z", "2026-01-04T00:00:00.000000Z")


@pytest.mark.parametrize("decision", ["refused", "revoked"])
def test_only_a_certification_is_despite_gates(park: Park, files, decision: Decision) -> None:
    assert certify_with_gates(park, files, "accuracy", decision=decision).despite == ()


@pytest.mark.parametrize("text", ["", " \t\n", "caf\udce9"])
def test_every_decision_and_every_move_has_a_reason_that_can_be_stored(park: Park, files, text: str) -> None:
    with pytest.raises(ReasonMissing, match="a note"):
        certify_with_gates(park, files, "accuracy", "luck", note=text)
    with pytest.raises(ReasonMissing, match="a reason"):
        park.desk(OPEN).promote(1, by=MIA, why=text, now=NOW)
    with pytest.raises(ReasonMissing, match="a reason"):
        park.desk(OPEN).roll_back(by=MIA, why=text, now=NOW)
    assert park.prod.head() is None
