"""Certificates: signed decisions about exactly one version digest, as a log per version.

What one says is in `registry/certificates/statement.py`. They are signed by a key that trainers cannot use.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import (
    Key,  # pyright: ignore[reportPrivateImportUsage]
    Signer,  # pyright: ignore[reportPrivateImportUsage]
)

from registry.certificates.signing import KmsSigner, KmsVerifier, Verifier
from registry.certificates.statement import PAYLOAD_TYPE, Certificate, Decision, parse_envelope
from registry.clock import Clock, utc_now
from registry.encoding import canonical, format_time, parse_time
from registry.errors import CertificateMalformed, DecidedMeanwhile, LogShorter, Malformed, NotCertified, Reason
from registry.layout.model_store import certificate_key, certificates_prefix
from registry.logs.log import Log, unbroken
from registry.store.object_store import ObjectStore
from registry.version import Version, check_name

__all__ = [
    "PAYLOAD_TYPE",
    "Certificate",
    "Certificates",
    "Decision",
    "KmsSigner",
    "KmsVerifier",
    "Signer",
    "Verifier",
    "parse_envelope",
]


@dataclass(frozen=True, kw_only=True)
class CertificateStatus:
    """What a look at the decisions about a version showed."""

    latest: Certificate | None
    """The valid decision with the highest number."""
    next_number: int
    """Where the next decision goes: the first free number behind `latest`. Signers and followers agree on it."""
    passed_over: int
    """How many entries with a higher number than `latest` are not valid."""
    problem: NotCertified | None
    """What is wrong with the highest of them."""


class Certificates:
    """The decisions about the versions of `model`. This object never accepts fewer of them than it once saw."""

    def __init__(self, store: ObjectStore, model: str, *, clock: Clock = utc_now) -> None:
        self.model = check_name("model", model)
        self._store = store
        self._clock = clock
        self._there: dict[int, int] = {}
        """Version -> the highest number that was read, valid or not."""
        self._valid: dict[tuple[str, str], int] = {}
        """Digest of a version and id of a key -> number of the latest valid decision that was seen."""

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
        despite: tuple[str, ...] = (),
    ) -> Certificate:
        """Decide about `version`; the latest decision counts. Returns what was signed and stored.

        `despite` names gates that the version did not pass. Two who decide at once: a refusal or revocation goes behind
        the other decision, but `certified` raises DecidedMeanwhile, for it may have been a revocation that was not
        seen. Objects that are not decisions are skipped. Also raises CertificateMalformed (`certified` needs
        `expires_at`, with a time zone), StatementTooLong, KeyUnavailable, LogShorter.
        """
        log = self._log(version.number)
        number = 0
        while True:
            certificate = Certificate(
                model=self.model,
                version=version.number,
                digest=version.digest,
                number=max(number, 1),
                decision=decision,
                by=by,
                at=format_time(self._clock()),
                expires_at=_format_expiry(expires_at),
                report_sha256=report_sha256,
                note=note,
                despite=despite,
            )
            if not number:  # only now: what cannot be signed is refused before any request
                number = self._look(version, signer.public_key).next_number
                certificate = replace(certificate, number=number)
            envelope = Envelope(certificate.statement(), PAYLOAD_TYPE, {})
            envelope.sign(signer)
            body = canonical(envelope.to_dict())  # an ECDSA signature is random: it is the write id
            standing = log.append(number, body)
            if standing == body:
                return certificate
            other = self._judged(standing, version, number, signer.public_key)
            if decision == "certified" and isinstance(other, Certificate):
                raise DecidedMeanwhile(version.title, expected=number - 1, actual=_summary(other))
            number += 1

    def decided_after(self, version: Version, number: int) -> bool:
        """Whether anything was decided about `version` after decision `number` (0: at all). One request.

        What an endpoint polls about the version that it serves, with the number before the one that `look` returns for
        the next decision; another `look` then evaluates it.
        """
        if self._log(version.number).read(number + 1) is None:
            return False
        self._saw(version, number + 1)
        return True

    def numbers(self, version: Version) -> list[int]:
        """The numbers of the entries about `version`, valid or not, ascending."""
        return self._log(version.number).numbers()

    def check_unbroken(self, version: Version, numbers: Sequence[int]) -> None:
        """HistoryBroken if a number is missing among the entries: one was deleted, or numbers were skipped."""
        if (end := unbroken(numbers)) < len(numbers):
            raise self._log(version.number).hole(end + 1)

    def of(self, version: Version) -> list[Certificate]:
        """All decisions about `version`, oldest first, not verified; CertificateMalformed."""
        log = self._log(version.number)
        bodies = log.read_each(self.numbers(version))
        return [Certificate.from_statement(parse_envelope(body).payload) for body in bodies]

    def look(self, version: Version, verifier: Verifier) -> CertificateStatus:
        """The latest decision with a valid signature over this digest and this place in the log.

        Entries that are not valid are skipped: who can write but not sign can neither certify nor revoke nor hide a
        revocation. LogShorter where the store shows less than this object saw before.
        """
        return self._look(version, verifier.key)

    def require(self, version: Version, verifier: Verifier, *, now: datetime) -> Certificate:
        """Returns the valid certificate for exactly these bytes. Raises NotCertified with a `reason`. See `look`."""
        return require_in_force(self.look(version, verifier), version, now=now)

    def approvals(self, version: Version, verifier: Verifier) -> list[Certificate]:
        """The valid `certified` decisions with no other decision behind them, the latest first: it, and what it renews.

        A request for each decision about the version.
        """
        valid = [entry for entry in self.entries(version, verifier).values() if isinstance(entry, Certificate)]
        return list(takewhile(lambda certificate: certificate.decision == "certified", reversed(valid)))

    def entries(
        self, version: Version, verifier: Verifier, numbers: Sequence[int] | None = None
    ) -> dict[int, Certificate | NotCertified]:
        """Every decision by its number, ascending; in place of one that `look` passes over, what is wrong with it.

        `numbers`: those that are there, where they were listed already.
        """
        log = self._log(version.number)
        there = log.numbers() if numbers is None else numbers
        return {number: self._judged(log.read(number), version, number, verifier.key) for number in there}

    def invalid(self, version: Version, verifier: Verifier, numbers: Sequence[int] | None = None) -> list[NotCertified]:
        """What is wrong with the entries that `look` passes over; `numbers` as in `entries`."""
        found = self.entries(version, verifier, numbers).values()
        return [entry for entry in found if isinstance(entry, NotCertified)]

    def _look(self, version: Version, key: Key) -> CertificateStatus:
        log = self._log(version.number)
        numbers = log.numbers()
        known = self._there.get(version.number, 0)
        if known and known not in numbers:
            raise LogShorter(
                f"decisions about {version.title}",
                expected=known,
                actual=f"a listing that ends at {numbers[-1]}" if numbers else "an empty listing",
            )
        latest: Certificate | None = None
        problems: list[NotCertified] = []
        for number in reversed(numbers):  # those that are there: an entry far off must not cost the way to it
            judged = self._judged(log.read(number), version, number, key)
            if isinstance(judged, Certificate):
                latest = judged
                break
            problems.append(judged)
        self._hold(version, key, latest)
        taken, free = set(numbers), (latest.number if latest else 0) + 1
        while free in taken:
            free += 1
        self._saw(version, free - 1)
        return CertificateStatus(
            latest=latest, next_number=free, passed_over=len(problems), problem=problems[0] if problems else None
        )

    def _hold(self, version: Version, key: Key, latest: Certificate | None) -> None:
        """LogShorter where a decision that was valid is valid no more: bytes do not change, so these are not them."""
        known = self._valid.get((version.digest, key.keyid), 0)
        if (latest.number if latest else 0) < known:
            raise LogShorter(
                f"decisions about {version.title}",
                expected=known,
                actual=f"decision {latest.number} as the last that is valid" if latest else "none that is valid",
            )
        if latest is not None:
            self._valid[version.digest, key.keyid] = latest.number

    def _saw(self, version: Version, number: int) -> None:
        if number:
            self._there[version.number] = max(number, self._there.get(version.number, 0))

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
            prefix=certificates_prefix(self.model, version),
            key=lambda number: certificate_key(self.model, version, number),
        )


def require_in_force(look: CertificateStatus, version: Version, *, now: datetime) -> Certificate:
    """The certificate that is valid by this look; otherwise NotCertified."""
    if look.latest is None:
        raise look.problem or NotCertified(version.title, reason="none", actual="no decision about it")
    return _in_force(look.latest, version, now)


def _in_force(certificate: Certificate, version: Version, now: datetime) -> Certificate:
    sentence = f"{certificate.by} on {certificate.at}: {certificate.note or '(no note)'}"
    if certificate.decision != "certified":
        raise NotCertified(
            version.title,
            reason=certificate.decision,
            actual=f"{certificate.decision} by {sentence}",
            public=f"{certificate.decision} on {certificate.at}",
        )
    if certificate.expires_at is None or parse_time(certificate.expires_at) <= now:
        ended = f"a certificate that expired {certificate.expires_at}"
        raise NotCertified(version.title, reason="expired", actual=f"{ended}, by {sentence}", public=ended)
    return certificate


def _summary(other: Certificate) -> str:
    return f"`{other.decision}` by {other.by}: {other.note}"


def _format_expiry(moment: datetime | None) -> str | None:
    try:
        return None if moment is None else format_time(moment)
    except ValueError as error:
        raise CertificateMalformed(f"expiry {error}") from error
