"""Certificates: who may decide, about which bytes, for how long; and what an intruder without the key achieves."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from securesystemslib.dsse import Envelope

from registry.certificates.certificate import PAYLOAD_TYPE, Certificate, Certificates, parse_envelope
from registry.certificates.signing import KmsSigner, KmsVerifier, Verifier
from registry.encoding import canonical, parse_canonical
from registry.errors import (
    CertificateMalformed,
    DecidedMeanwhile,
    KeyUnavailable,
    NotCertified,
    StatementTooLong,
)
from registry.layout.model_store import certificate_key
from registry.store.memory_store import MemoryStore
from registry.store.object_store import PrunableStore
from registry.version import StoredFile, Version
from tests.registry.faulty_store import Fault, FaultyStore, only_at
from tests.registry.memory_keys import MemorySigner, MemoryVerifier

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIGNER = MemorySigner()
VERIFIER = MemoryVerifier(SIGNER)
VERSION = Version(
    model="pets",
    number=3,
    created_at="2026-01-01T00:00:00.000000Z",
    files=(StoredFile(name="model.onnx", sha256="a" * 64, bytes=1),),
    labels=("cat", "dog"),
    metrics={},
    lineage={},
)


def decide(store: PrunableStore, decision: Any = "certified", *, version: Version = VERSION, **how: Any) -> Certificate:
    terms: dict[str, Any] = {
        "signer": SIGNER,
        "by": "arn:aws:iam::1:user/vera",
        "report_sha256": "b" * 64,
        "expires_at": NOW + timedelta(days=90),
        "note": "looked at 200 errors",
    }
    return Certificates(store, "pets", clock=lambda: NOW).sign(version, decision=decision, **(terms | how))


def why_not(
    store: PrunableStore, *, version: Version = VERSION, verifier: Verifier = VERIFIER, now: datetime = NOW
) -> str:
    with pytest.raises(NotCertified) as refusal:
        Certificates(store, "pets").require(version, verifier, now=now)
    assert refusal.value.next
    return refusal.value.reason


def test_a_certified_version_has_its_certificate_in_force(store: PrunableStore) -> None:
    certificate = decide(store)
    assert Certificates(store, "pets").require(VERSION, VERIFIER, now=NOW) == certificate
    assert Certificates(store, "pets").of(VERSION) == [certificate]
    assert (certificate.digest, certificate.by, certificate.report_sha256) == (
        VERSION.digest,
        "arn:aws:iam::1:user/vera",
        "b" * 64,
    )


def test_what_is_stored_is_an_in_toto_statement_about_the_version_digest(store: PrunableStore) -> None:
    decide(store)
    payload = parse_canonical(parse_envelope(store.get(certificate_key("pets", 3, 1))).payload)
    assert payload.text("_type") == "https://in-toto.io/Statement/v1"
    (subject,) = payload.nested_list("subject")
    assert "sha256:" + subject.nested("digest").text("sha256") == VERSION.digest


def test_without_a_decision_nothing_is_certified(store: PrunableStore) -> None:
    assert why_not(store) == "none"


@pytest.mark.parametrize("decision", ["refused", "revoked"])
def test_the_latest_decision_counts(store: PrunableStore, decision: str) -> None:
    decide(store)
    decide(store, decision, expires_at=None, note="missed black cats at night")
    assert why_not(store) == decision
    assert why_not(store, now=NOW + timedelta(days=1000)) == decision  # such a decision does not expire
    again = decide(store)
    assert Certificates(store, "pets").require(VERSION, VERIFIER, now=NOW) == again
    assert [c.decision for c in Certificates(store, "pets").of(VERSION)] == ["certified", decision, "certified"]


def test_approvals_are_the_certificates_since_the_last_decision_against_a_version_the_latest_first(
    store: PrunableStore,
) -> None:
    certificates = Certificates(store, "pets")
    assert certificates.approvals(VERSION, VERIFIER) == []
    decide(store, by="vera")
    decide(store, "refused", expires_at=None, note="missed black cats at night")
    assert certificates.approvals(VERSION, VERIFIER) == []
    for by in ("vera", "victor"):
        decide(store, by=by)
    decide(store, by="intruder", signer=MemorySigner())
    assert [each.by for each in certificates.approvals(VERSION, VERIFIER)] == ["victor", "vera"]


def test_a_certificate_expires_at_its_moment(store: PrunableStore) -> None:
    decide(store)
    end = NOW + timedelta(days=90)
    assert Certificates(store, "pets").require(VERSION, VERIFIER, now=end - timedelta(microseconds=1))
    assert why_not(store, now=end) == "expired"


def test_a_certificate_is_for_these_bytes_only(store: PrunableStore) -> None:
    decide(store)
    other = replace(VERSION, files=(StoredFile(name="model.onnx", sha256="c" * 64, bytes=1),))
    assert why_not(store, version=other) == "other digest"


def test_another_key_certifies_nothing(store: PrunableStore) -> None:
    decide(store, signer=MemorySigner())
    assert why_not(store) == "unknown key"


def test_a_follower_learns_of_a_later_decision_with_one_request(store: PrunableStore) -> None:
    counted = FaultyStore(store, lambda _: None)
    certificates = Certificates(counted, "pets")
    assert not certificates.decided_after(VERSION, 0)
    decide(store)
    assert certificates.decided_after(VERSION, 0)
    assert not certificates.decided_after(VERSION, 1)
    assert counted.calls == 3
    decide(store, "revoked")
    assert certificates.decided_after(VERSION, 1)
    assert certificates.numbers(VERSION) == [1, 2]


def test_the_entries_that_do_not_count_are_listed_with_their_reasons(store: PrunableStore) -> None:
    decide(store)
    decide(store, "revoked", signer=MemorySigner())
    store.create(certificate_key("pets", 3, 3), b"garbage")
    store.create(certificate_key("pets", 3, 4), store.get(certificate_key("pets", 3, 1)))
    problems = Certificates(store, "pets").invalid(VERSION, VERIFIER)
    assert [problem.reason for problem in problems] == ["unknown key", "malformed", "replayed"]


def test_an_intruder_without_the_key_cannot_revoke(store: PrunableStore) -> None:
    certificate = decide(store)
    decide(store, "revoked", signer=MemorySigner())
    store.create(certificate_key("pets", 3, 3), b"garbage")
    assert Certificates(store, "pets").require(VERSION, VERIFIER, now=NOW) == certificate


def test_an_old_certificate_cannot_be_replayed_behind_a_revocation(store: PrunableStore) -> None:
    decide(store)
    decide(store, "revoked")
    store.create(certificate_key("pets", 3, 3), store.get(certificate_key("pets", 3, 1)))
    assert why_not(store) == "revoked"
    other = replace(VERSION, number=4)
    store.create(certificate_key("pets", 4, 1), store.get(certificate_key("pets", 3, 1)))
    assert why_not(store, version=other) == "other digest"


def test_a_certificate_in_another_place_is_a_replay() -> None:
    store = MemoryStore()
    decide(store)
    copy = MemoryStore()
    copy.create(certificate_key("pets", 3, 1), b"squatted")
    copy.create(certificate_key("pets", 3, 2), store.get(certificate_key("pets", 3, 1)))
    assert why_not(copy) == "replayed"


@pytest.mark.parametrize(
    "change", [{"decision": "certified"}, {"by": "somebody"}, {"expires_at": "2099-01-01T00:00:00.000000Z"}]
)
def test_a_tampered_payload_is_not_believed(change: dict[str, Any]) -> None:
    store = MemoryStore()
    decide(store, "refused")
    envelope = parse_envelope(store.get(certificate_key("pets", 3, 1)))
    envelope.payload = replace(Certificate.from_statement(envelope.payload), **change).statement()
    forged = MemoryStore()
    forged.create(certificate_key("pets", 3, 1), canonical(envelope.to_dict()))
    assert why_not(forged) == "bad signature"


def test_a_signed_statement_of_another_kind_certifies_nothing(store: PrunableStore) -> None:
    envelope = Envelope(b'{"_type":"https://in-toto.io/Statement/v1"}', PAYLOAD_TYPE, {})
    envelope.sign(SIGNER)
    store.create(certificate_key("pets", 3, 1), canonical(envelope.to_dict()))
    assert why_not(store) == "malformed"
    with pytest.raises(CertificateMalformed):
        Certificates(store, "pets").of(VERSION)


@pytest.mark.parametrize(
    "terms",
    [
        {"expires_at": None},
        {"expires_at": datetime(2026, 1, 1)},
        {"report_sha256": "report.html"},
        {"decision": "maybe"},
    ],
)
def test_what_cannot_be_a_certificate_is_refused_before_it_is_signed(
    store: PrunableStore, terms: dict[str, Any]
) -> None:
    with pytest.raises(CertificateMalformed):
        decide(store, **terms)
    assert list(store.keys("")) == []


def test_a_certification_does_not_run_over_a_revocation_it_has_not_seen() -> None:
    class Raced(MemoryStore):
        def create(self, key: str, body: bytes) -> None:
            if not any(self.keys("")):
                super().create(key, rival.get(key))
            super().create(key, body)

    rival = MemoryStore()
    decide(rival, "revoked")
    with pytest.raises(DecidedMeanwhile):
        decide(Raced())
    assert decide(Raced(), "revoked").number == 2


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.CRASH_AFTER])
def test_a_decision_whose_answer_was_lost_is_there_once(store: PrunableStore, fault: Fault) -> None:
    faulty = FaultyStore(store, only_at(1, fault))
    if fault is Fault.DROP_AFTER:
        assert decide(faulty).number == 1
    else:
        with pytest.raises(Exception, match="write"):
            decide(faulty)
    assert len(Certificates(store, "pets").of(VERSION)) == 1


# --- KMS -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> "Iterator[KMSClient]":
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield boto3.client("kms", region_name="eu-west-1")


@pytest.fixture
def new_key(kms: "KMSClient") -> Callable[..., str]:
    def make(spec: Any = "ECC_NIST_P256") -> str:
        return kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"].get("Arn", "")

    return make


def test_a_kms_key_signs_and_its_public_half_verifies_here(kms: "KMSClient", new_key: Callable[..., str]) -> None:
    store, key = MemoryStore(), new_key()
    certificate = decide(store, signer=KmsSigner(kms, key))
    verifier = KmsVerifier(kms, key)
    assert verifier.key
    kms.close()  # from here on the verifier needs nobody
    assert Certificates(store, "pets").require(VERSION, verifier, now=NOW) == certificate


def test_another_kms_key_certifies_nothing(kms: "KMSClient", new_key: Callable[..., str]) -> None:
    store = MemoryStore()
    decide(store, signer=KmsSigner(kms, new_key()))
    assert why_not(store, verifier=KmsVerifier(kms, new_key())) == "unknown key"


def test_a_key_that_is_missing_or_of_another_kind_is_named(kms: "KMSClient", new_key: Callable[..., str]) -> None:
    for arn in ("arn:aws:kms:eu-west-1:123456789012:key/gone", new_key("ECC_NIST_P384"), new_key("RSA_2048")):
        with pytest.raises(KeyUnavailable, match="ECC_NIST_P256"):
            assert KmsVerifier(kms, arn).key
    with pytest.raises(KeyUnavailable):
        decide(MemoryStore(), signer=KmsSigner(kms, "arn:aws:kms:eu-west-1:123456789012:key/gone"))


def test_a_note_that_kms_would_not_sign_is_refused(kms: "KMSClient", new_key: Callable[..., str]) -> None:
    store = MemoryStore()
    with pytest.raises(StatementTooLong, match="4096"):
        decide(store, signer=KmsSigner(kms, new_key()), note="x" * 4000)
    assert list(store.keys("")) == []
