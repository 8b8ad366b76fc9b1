"""The content of a certificate, and its bytes: an in-toto Statement v1 in a DSSE envelope.

https://github.com/in-toto/attestation, https://github.com/secure-systems-lab/dsse
"""

from dataclasses import dataclass
from typing import Literal, Self, cast, get_args

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SecurityError

from registry.encoding import NAME, SHA256, canonical, parse_canonical, parse_time
from registry.errors import CertificateMalformed
from registry.layout.model_store import version_key

type Decision = Literal["certified", "refused", "revoked"]
_DECISIONS: tuple[str, ...] = get_args(Decision.__value__)

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:petpark:certificate:v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A person's decision about one version digest. Only `Certificates.require` knows whether it is valid."""

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
    despite: tuple[str, ...] = ()
    """Gates that the version did not pass, each named by the certifier."""

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
                        "name": version_key(self.model, self.version),
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
                    # Only where there is one, so that every other certificate is what it always was.
                    **({"despite": list(self.despite)} if self.despite else {}),
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
                despite=predicate.optional_texts("despite"),
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
