"""A certificate is missing, or cannot be made."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from registry.errors.base import RegistryError

type Reason = Literal[
    "none", "refused", "revoked", "expired", "other digest", "replayed", "unknown key", "bad signature", "malformed"
]


class NotCertified(RegistryError):
    """No valid certificate covers exactly this version; `reason` says why."""

    _NEXT: ClassVar[Mapping[str, str]] = {
        "none": "Let a person other than the trainer read its report and run `petpark certify`.",
        "refused": "Read the note and the report; train and publish a better version.",
        "revoked": "Read the note; roll back to a certified version, or certify this one again.",
        "expired": "Look at the report again and renew it with `petpark certify`.",
        "other digest": "The certificate is for other bytes than these: certify this version.",
        "replayed": "Find out who copied a certificate to another place; certify this version if it deserves it.",
        "unknown key": "Check that the verifying key is the one that signed; then certify this version with it.",
        "bad signature": "Find out who wrote it; certify this version if it deserves it.",
        "malformed": "Look at who wrote the certificate's object; then certify this version again.",
    }

    def __init__(self, version: str, *, reason: Reason, actual: str, public: str = "") -> None:
        """`public` is the same for callers who may not see a certifier's name and note."""
        super().__init__(expected=f"a valid certificate for {version}", actual=actual, next=self._NEXT[reason])
        self.reason: Reason = reason
        self.public = public or actual


class SelfCertified(RegistryError):
    """A person who trained a version, or requested its training, tried to decide about it."""

    def __init__(self, version: str, *, by: str, trained_by: str) -> None:
        super().__init__(
            expected=f"a decision about {version} by a person who did not train it",
            actual=f"{by}; it was trained by {trained_by}",
            next="Ask another person to certify it.",
        )
        self.public = "a certificate by a person who trained it"


class GatesNotNamed(RegistryError):
    """A version has gates that it did not pass, and the certifier must name each of them. Nothing was signed."""

    def __init__(self, version: str, *, number: int, against: Mapping[str, str], despite: Sequence[str]) -> None:
        sentence = ", ".join(f"{name} ({why})" for name, why in against.items())
        others = sorted(set(despite) - set(against))
        parts = [f"named: {', '.join(despite) or 'none'}", f"not among them: {', '.join(others)}" if others else ""]
        options = " ".join(f"--despite {name}" for name in against)
        super().__init__(
            expected=f"each gate that {version} does not pass named: {sentence}"
            if against
            else f"no gate named: {version} passed every gate that was checked",
            actual="; ".join(filter(None, parts)),
            next=f"Read the report: `petpark models report {number}`. "
            + (f"To certify it all the same: {options}" if against else "Leave --despite out."),
        )
        self.against = dict(against)


class DecidedMeanwhile(RegistryError):
    """Somebody decided about the version while this certificate was being made. Nothing was added."""

    def __init__(self, version: str, *, expected: int, actual: str) -> None:
        super().__init__(
            expected=f"{version} with {expected} decisions",
            actual=actual,
            next="Read that decision; then decide again.",
        )


class StatementTooLong(RegistryError):
    """KMS signs messages of at most 4,096 bytes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            expected=f"a statement of at most {limit} bytes",
            actual=f"{size} bytes",
            next="Shorten the note; put the long version into the report.",
        )


class KeyUnavailable(RegistryError):
    """The signing key cannot be used."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(
            expected=f"an ECC_NIST_P256 signing key {key}",
            actual=reason,
            next="Check the key's ARN and that your role has kms:Sign (to certify) or kms:GetPublicKey (to verify).",
        )
