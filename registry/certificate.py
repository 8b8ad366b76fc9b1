"""Certificates: signed decisions about exactly one version digest, as a log per version.

A certificate is an in-toto Statement v1 (https://github.com/in-toto/attestation) in a DSSE envelope
(https://github.com/secure-systems-lab/dsse), signed by a key that trainers cannot use.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self, cast, get_args

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SecurityError
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import (
    Key,  # pyright: ignore[reportPrivateImportUsage]
    Signer,  # pyright: ignore[reportPrivateImportUsage]
)

from registry import layout
from registry.encoding import NAME, SHA256, canonical, format_time, parse_canonical, parse_time
from registry.errors import CertificateMalformed, DecidedMeanwhile, Malformed, NotCertified, Reason
from registry.log import Log
from registry.object_store import ObjectStore
from registry.signing import KmsSigner, KmsVerifier, Verifier
from registry.version import Version, check_name

__all__ = ["Certificate", "Certificates", "Decision", "KmsSigner", "KmsVerifier", "Signer", "Verifier"]

type Decision = Literal["certified", "refused", "revoked"]
_DECISIONS: tuple[str, ...] = get_args(Decision.__value__)

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:petpark:certificate:v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What somebody decided about one version digest. Only `Certificates.require` says whether it is in force."""

    model: str
    version: int
    digest: str
    number: int  # in the version's log; signed too, so an old decision cannot be replayed behind a newer one
    decision: Decision
    by: str
    at: str
    expires_at: str | None  # always set for `certified`; a refusal or revocation does not expire
    report_sha256: str | None
    note: str

    def __post_init__(self) -> None:
        try:
            self._check()
        except ValueError as error:
            raise CertificateMalformed(str(error)) from error

    def _check(self) -> None:
        if self.decision not in _DECISIONS:
            raise ValueError(f"decision {self.decision!r}")
        if self.report_sha256 is not None and not SHA256.fullmatch(self.report_sha256):
            raise ValueError(f"report {self.report_sha256!r} is not a SHA-256")
        parse_time(self.at)
        if self.expires_at is not None:
            parse_time(self.expires_at)
        elif self.decision == "certified":
            raise ValueError("a certificate without an expiry")

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def statement(self) -> bytes:
        """The in-toto statement that is signed, as canonical JSON."""
        return canonical(
            {
                "_type": STATEMENT_TYPE,
                "subject": [
                    {
                        "name": layout.version_key(self.model, self.version),
                        "digest": {"sha256": self.digest.removeprefix("sha256:")},
                    }
                ],
                "predicateType": PREDICATE_TYPE,
                "predicate": {
                    "model": self.model,
                    "version": self.version,
                    "number": self.number,
                    "decision": self.decision,
                    "by": self.by,
                    "at": self.at,
                    "expires_at": self.expires_at,
                    "report_sha256": self.report_sha256,
                    "note": self.note,
                },
            }
        )

    @classmethod
    def from_statement(cls, data: bytes) -> Self:
        """The opposite of `statement`; CertificateMalformed for any other bytes."""
        try:
            fields = parse_canonical(data)
            fields.constant("_type", STATEMENT_TYPE)
            fields.constant("predicateType", PREDICATE_TYPE)
            (subject,) = fields.nested_list("subject")
            subject.text("name")
            digest = subject.nested("digest")
            predicate = fields.nested("predicate")
            certificate = cls(
                model=predicate.text("model", NAME),
                version=predicate.count("version"),
                digest="sha256:" + digest.text("sha256", SHA256),
                number=predicate.count("number"),
                decision=cast("Decision", predicate.text("decision")),
                by=predicate.text("by"),
                at=predicate.text("at"),
                expires_at=predicate.optional_text("expires_at"),
                report_sha256=predicate.optional_text("report_sha256"),
                note=predicate.text("note"),
            )
            for nested in (fields, subject, digest, predicate):
                nested.done()
        except ValueError as error:
            raise CertificateMalformed(str(error)) from error
        return certificate


def parse_envelope(data: bytes) -> Envelope:
    """The DSSE envelope that was stored; CertificateMalformed for any other bytes."""
    try:
        fields = parse_canonical(data)
        signatures = [
            {name: entry.text(name) for name in ("keyid", "sig")} for entry in fields.nested_list("signatures")
        ]
        payload = fields.text("payload")
        payload_type = fields.constant("payloadType", PAYLOAD_TYPE)
        fields.done()
        return Envelope.from_dict({"payload": payload, "payloadType": payload_type, "signatures": signatures})
    except (ValueError, SecurityError) as error:
        raise CertificateMalformed(str(error)) from error


class Certificates:
    """The decisions about the versions of `model`."""

    def __init__(
        self, store: ObjectStore, model: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.model = check_name("model", model)
        self._store = store
        self._clock = clock

    def sign(
        self,
        version: Version,
        *,
        decision: Decision,
        signer: Signer,
        by: str,
        report_sha256: str | None,
        expires_at: datetime | None,
        note: str,
    ) -> Certificate:
        """Decide about `version`; the latest decision counts. Returns what was signed and stored.

        Two who decide at once: a refusal or revocation goes behind the other decision, but `certified` raises
        DecidedMeanwhile, for it may have been a revocation that was not seen. Also raises CertificateMalformed
        (`certified` needs `expires_at`, with a time zone), StatementTooLong, KeyUnavailable.
        """
        log = self._log(version.number)
        number = log.last()
        while True:
            number += 1
            certificate = Certificate(
                model=self.model,
                version=version.number,
                digest=version.digest,
                number=number,
                decision=decision,
                by=by,
                at=format_time(self._clock()),
                expires_at=_format_expiry(expires_at),
                report_sha256=report_sha256,
                note=note,
            )
            envelope = Envelope(certificate.statement(), PAYLOAD_TYPE, {})
            envelope.sign(signer)
            body = canonical(envelope.to_dict())  # an ECDSA signature is random: it is the write id
            standing = log.append(number, body)
            if standing == body:
                return certificate
            if decision == "certified":
                raise DecidedMeanwhile(version.title, expected=number - 1, actual=_summary(standing))

    def decided_after(self, version: Version, number: int) -> bool:
        """Whether anything was decided about `version` after decision `number` (0: at all). One request.

        What an endpoint asks again and again about the version that it serves; `require` then says what it means.
        """
        return self._log(version.number).read(number + 1) is not None

    def count(self, version: Version) -> int:
        """How many decisions there are about `version`, valid or not."""
        return self._log(version.number).last()

    def of(self, version: Version) -> list[Certificate]:
        """All decisions about `version`, oldest first, not verified; CertificateMalformed."""
        return [
            Certificate.from_statement(parse_envelope(body).payload) for body in self._log(version.number).read_all()
        ]

    def require(self, version: Version, verifier: Verifier, *, now: datetime) -> Certificate:
        """The certificate in force for exactly these bytes; otherwise NotCertified, whose `reason` says why.

        The latest entry with a valid signature over this digest and this place in the log decides. Entries that are not
        valid are passed over: who can write but not sign can neither certify nor revoke nor hide a revocation.
        """
        log = self._log(version.number)
        problem: NotCertified | None = None
        for number in reversed(log.numbers()):  # those that are there: a junk entry far off must not cost the way to it
            body = log.read(number)
            try:
                certificate = self._verified(body, version, number, verifier.key)
            except NotCertified as error:
                problem = problem or error
            else:
                return _in_force(certificate, version, now)
        raise problem or NotCertified(version.title, reason="none", actual="no decision about it")

    def entries(self, version: Version, verifier: Verifier) -> dict[int, Certificate | NotCertified]:
        """Every decision by its number, ascending; in place of one that `require` passes over, what is wrong with it.

        Like `require`, it does not mind a number that is missing.
        """
        log = self._log(version.number)
        return {number: self._judged(log.read(number), version, number, verifier.key) for number in log.numbers()}

    def invalid(self, version: Version, verifier: Verifier) -> list[NotCertified]:
        """What is wrong with the entries that `require` passes over; HistoryBroken if one is missing."""
        bodies = enumerate(self._log(version.number).read_all(), start=1)
        judged = [self._judged(body, version, number, verifier.key) for number, body in bodies]
        return [entry for entry in judged if isinstance(entry, NotCertified)]

    def _judged(self, body: bytes | None, version: Version, number: int, key: Key) -> Certificate | NotCertified:
        try:
            return self._verified(body, version, number, key)
        except NotCertified as problem:
            return problem

    def _verified(self, body: bytes | None, version: Version, number: int, key: Key) -> Certificate:
        def refuse(reason: Reason, actual: str) -> NotCertified:
            return NotCertified(version.title, reason=reason, actual=f"entry {number}: {actual}")

        try:
            envelope = parse_envelope(body or b"")
            if key.keyid not in envelope.signatures:
                signers = ", ".join(keyid[:12] for keyid in envelope.signatures) or "nobody"
                raise refuse("unknown key", f"signed by {signers}, not by key {key.keyid[:12]}")
            envelope.verify([key], threshold=1)
            certificate = Certificate.from_statement(envelope.payload)
        except Malformed as error:
            raise refuse("malformed", error.actual) from error
        except VerificationError as error:
            raise refuse("bad signature", f"key {key.keyid[:12]} did not sign this") from error
        if certificate.digest != version.digest:
            raise refuse("other digest", f"a certificate for {certificate.digest}")
        if (certificate.model, certificate.version, certificate.number) != (self.model, version.number, number):
            raise refuse(
                "replayed",
                f"a certificate for {certificate.model} version {certificate.version}, entry {certificate.number}",
            )
        return certificate

    def _log(self, version: int) -> Log:
        return Log(
            store=self._store,
            prefix=layout.certificates_prefix(self.model, version),
            key=lambda number: layout.certificate_key(self.model, version, number),
        )


def _in_force(certificate: Certificate, version: Version, now: datetime) -> Certificate:
    said = f"{certificate.by} on {certificate.at}: {certificate.note or '(no note)'}"
    if certificate.decision != "certified":
        raise NotCertified(version.title, reason=certificate.decision, actual=f"{certificate.decision} by {said}")
    if certificate.expires_at is None or parse_time(certificate.expires_at) <= now:
        raise NotCertified(
            version.title, reason="expired", actual=f"a certificate that expired {certificate.expires_at}, by {said}"
        )
    return certificate


def _summary(body: bytes) -> str:
    try:
        other = Certificate.from_statement(parse_envelope(body).payload)
    except CertificateMalformed as error:
        return f"an entry that is no certificate ({error.actual})"
    return f"`{other.decision}` by {other.by}: {other.note}"


def _format_expiry(moment: datetime | None) -> str | None:
    try:
        return None if moment is None else format_time(moment)
    except ValueError as error:
        raise CertificateMalformed(f"expiry {error}") from error
