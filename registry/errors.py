"""Outcomes other than the thing asked for: each has a name, what was expected, what is there, what to do next."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry.channel import Move


class RegistryError(Exception):
    """Base of all outcomes of the registry; `str()` is a sentence for people, `to_dict()` the same for programs."""

    def __init__(self, *, expected: str, actual: str, next: str) -> None:
        super().__init__(f"expected {expected}; found {actual}. {next}")
        self.expected = expected
        self.actual = actual
        self.next = next

    @property
    def outcome(self) -> str:
        """The name of the outcome."""
        return type(self).__name__

    def to_dict(self) -> dict[str, str]:
        """The same facts as JSON."""
        return {"outcome": self.outcome, "expected": self.expected, "actual": self.actual, "next": self.next}


# --- the store -----------------------------------------------------------------------------------------------------


class ObjectExists(RegistryError):
    """The key is taken: objects are written once."""

    def __init__(self, key: str) -> None:
        super().__init__(
            expected=f"no object at {key}",
            actual="one that was written before",
            next="Nothing was changed; read it and compare.",
        )
        self.key = key


class ObjectMissing(RegistryError):
    """There is no object at this key."""

    def __init__(self, key: str) -> None:
        super().__init__(
            expected=f"an object at {key}", actual="none", next="Check the bucket, the model's name and the number."
        )
        self.key = key


class StoreUnavailable(RegistryError):
    """The store did not answer within the retry budget. After a write, whether it took effect is unknown."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(
            expected=f"the object store to {action}",
            actual=reason,
            next="Whether a write took effect is unknown; run the same command again, it continues where this stopped.",
        )


class StoreConflict(StoreUnavailable):
    """The store would not decide between concurrent writers of one key (409), however often it was asked."""


class StreamTorn(StoreUnavailable):
    """An object's bytes ended before they were complete, however often they were asked for."""


class ForeignAnswer(StoreUnavailable):
    """Something answered in the store's place, or changed its answer on the way. It is believed in nothing."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(action, f"an answer that is not the store's: {reason}")
        self.next = (
            "A network that wants you to sign in first, a proxy, or another address than the store's answers here. "
            "Nothing was decided by it; whether a write took effect is unknown. Put it right, then run it again."
        )
        self.args = (f"expected {self.expected}; found {self.actual}. {self.next}",)


class StoreUnable(RegistryError):
    """The store does not know what the registry is built on."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(
            expected=f"a store that can {action} only where nothing is yet (If-None-Match: *)",
            actual=reason,
            next="This store cannot do it, so it cannot hold a registry: use S3, or a store with conditional writes. "
            "Nothing was written.",
        )


class StoreRefused(RegistryError):
    """The store understood and said no: permissions, a missing bucket, credentials."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(
            expected=f"permission to {action}",
            actual=reason,
            next="Check bucket, credentials and role. Every role needs s3:GetObject and s3:ListBucket on all of it "
            "(without ListBucket S3 says 403 for 404), and writers s3:PutObject on their prefix.",
        )


class ClockSkewed(RegistryError):
    """The clocks of this machine and of the store are more than a quarter of an hour apart. Nothing was changed."""

    def __init__(self, there: str, *, actual: str) -> None:
        super().__init__(
            expected=f"this machine's clock at {there}, the object store's time",
            actual=actual,
            next="Set the clock (timedatectl set-ntp true); times go into certificates and logs.",
        )


# --- names and contents --------------------------------------------------------------------------------------------


class NameRefused(RegistryError):
    """A model or channel name that cannot be a part of a key."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(
            expected=f"a {kind} name of 1 to 63 lower-case letters, digits and hyphens",
            actual=repr(name),
            next="Choose another name.",
        )


class FileNameRefused(RegistryError):
    """A file name that could leave its directory, or that two systems could read differently."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            expected="a relative file name with '/' between parts, in Unicode's composed form (NFC)",
            actual=f"{name!r}: {reason}",
            next="Rename the file.",
        )


class FileMissing(RegistryError):
    """A file to be published is not there, or not a file."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(expected=f"file {name} at {path}", actual="no regular file", next="Check the path.")


class FileChanged(RegistryError):
    """A file changed between being hashed and being sent. Nothing was published."""

    def __init__(self, path: str, *, expected: str, actual: str) -> None:
        super().__init__(
            expected=f"{path} with sha256 {expected}",
            actual=f"sha256 {actual} while it was sent",
            next="Wait until nothing writes the file any more, then publish again.",
        )


class FileCorrupted(RegistryError):
    """The store holds other bytes than the version promises."""

    def __init__(self, name: str, *, expected: str, actual: str) -> None:
        super().__init__(
            expected=f"file {name} with {expected}",
            actual=actual,
            next="Do not use this version. Restore the object's first revision (the bucket keeps them), "
            "or publish again from the training run.",
        )
        self.name = name


class FileForgotten(RegistryError):
    """A file's bytes lie in the store, but so long and unused that the collector may remove them at any moment."""

    def __init__(self, name: str, key: str) -> None:
        super().__init__(
            expected=f"file {name} as a new object, or as one that some version uses",
            actual=f"{key}, left behind by a publish that never ended, and old enough to be collected",
            next="Nothing was published. Run `petpark models gc`, then publish again (a training: resume it).",
        )


class VersionMissing(RegistryError):
    """No version has this number."""

    def __init__(self, model: str, number: int) -> None:
        super().__init__(
            expected=f"version {number} of {model}",
            actual="no such version",
            next="`petpark models list` shows those that exist.",
        )


class DigestMismatch(RegistryError):
    """A version is not the one that was meant."""

    def __init__(self, what: str, *, expected: str, actual: str) -> None:
        super().__init__(
            expected=f"{what} with digest {expected}",
            actual=f"digest {actual}",
            next="Somebody replaced an object: keep serving what you have, and compare the bucket's object versions.",
        )


# --- what was read from the store ----------------------------------------------------------------------------------


class Malformed(RegistryError):
    """Bytes from the store that are not what their key says."""

    what = "object"

    def __init__(self, reason: str, *, key: str | None = None) -> None:
        super().__init__(
            expected=f"{self.what} as petpark writes it" + (f" at {key}" if key else ""),
            actual=reason,
            next="Nothing was used of it. Look at the object and at who wrote it; the bucket keeps earlier revisions.",
        )


class VersionMalformed(Malformed):
    """A version object that does not parse, or says something impossible."""

    what = "a version"


class MoveMalformed(Malformed):
    """A channel entry that does not parse, or says something impossible."""

    what = "a channel entry"


class CertificateMalformed(Malformed):
    """A certificate that does not parse, or says something impossible."""

    what = "a certificate"


class ForeignObject(Malformed):
    """An object lies in the registry that is none of its own."""

    what = "only what petpark writes"


class RepairMalformed(Malformed):
    """A repair that does not parse, or says something impossible."""

    what = "a repair"


class LogShorter(RegistryError):
    """A store showed fewer decisions than it did before. They are never deleted, so this decides nothing."""

    def __init__(self, where: str, *, expected: int, actual: str) -> None:
        super().__init__(
            expected=f"{where} with decision {expected}, which was there before",
            actual=actual,
            next="Nothing was changed. The store lags, or something else answers in its place: look again.",
        )


class HistoryBroken(RegistryError):
    """A log has a hole, or an entry does not carry the hash of the entry before: somebody rewrote history."""

    def __init__(self, where: str, *, expected: str, actual: str) -> None:
        super().__init__(
            expected=f"{where}: {expected}",
            actual=actual,
            next="Nothing goes on from here, at any endpoint. `petpark models fsck` shows what the bucket remembers: "
            "what was deleted or rewritten is restored; what nobody should have written is declared void: "
            "`petpark models repair`.",
        )


class ObjectRewritten(RegistryError):
    """The bucket remembers more than one state of an object that is written once."""

    def __init__(self, key: str, *, revisions: int, deleted: bool) -> None:
        super().__init__(
            expected=f"one revision of {key}",
            actual=f"{revisions}, the newest of which {'is a deletion' if deleted else 'stands there now'}",
            next="Compare the revisions (aws s3api list-object-versions), restore the first, and ask who wrote the "
            "others: the bucket's access log and CloudTrail know.",
        )


class BucketUnguarded(RegistryError):
    """The bucket does not hold what the registry's guarantees lean on: its versions, or a rule of its policy."""

    def __init__(self, bucket: str, *, expected: str, actual: str) -> None:
        super().__init__(
            expected=f"bucket {bucket} with {expected}",
            actual=actual,
            next="Put it back: `pulumi up` on the stack that owns the platform; then look for traces: "
            "`petpark models fsck`.",
        )


# --- decisions -----------------------------------------------------------------------------------------------------


class ChannelMoved(RegistryError):
    """Somebody else moved the channel first; `head` is what is there now."""

    def __init__(self, channel: str, *, expected: int, head: "Move | None") -> None:
        actual = f"entry {head.number}: version {head.version} by {head.by} ({head.why})" if head else "no entry"
        super().__init__(
            expected=f"channel {channel} at entry {expected}",
            actual=actual,
            next="Look at that move; then decide again.",
        )
        self.head = head


class NothingToRollBackTo(RegistryError):
    """The channel has no such earlier state."""

    def __init__(self, channel: str, *, expected: str, actual: str) -> None:
        super().__init__(
            expected=f"{expected} in the history of channel {channel}",
            actual=actual,
            next="`petpark models history` shows what was in force; to put another version in force, promote it.",
        )


class RolledBackBefore(RegistryError):
    """The version that would come back is one that was rolled back from: nobody meant that, or somebody must say so."""

    def __init__(self, channel: str, version: int, *, left: "Move") -> None:
        super().__init__(
            expected=f"a version for channel {channel} that nobody rolled back from",
            actual=f"version {version}, left at {left.at} for version {left.version} by {left.by} ({left.why})",
            next="To bring it back all the same: `petpark rollback --yes`; another: `--to VERSION`.",
        )
        self.left = left


type Reason = Literal[
    "none", "refused", "revoked", "expired", "other digest", "replayed", "unknown key", "bad signature", "malformed"
]


class NotCertified(RegistryError):
    """No certificate in force covers exactly this version; `reason` says why."""

    _NEXT: dict[str, str] = {  # noqa: RUF012
        "none": "Let somebody other than the trainer look at its report and run `petpark certify`.",
        "refused": "Read the note and the report; train and publish a better version.",
        "revoked": "Read the note; roll back to a certified version, or certify this one anew.",
        "expired": "Look at the report again and renew it with `petpark certify`.",
        "other digest": "The certificate is for other bytes than these: certify this version.",
        "replayed": "Find out who copied a certificate to another place; certify this version if it deserves it.",
        "unknown key": "Check that the verifying key is the one that signed; then certify this version with it.",
        "bad signature": "Find out who wrote it; certify this version if it deserves it.",
        "malformed": "Look at who wrote the certificate's object; then certify this version again.",
    }

    def __init__(self, version: str, *, reason: Reason, actual: str, public: str = "") -> None:
        """`public` says the same to those who may not know a certifier's name and note."""
        super().__init__(expected=f"a certificate in force for {version}", actual=actual, next=self._NEXT[reason])
        self.reason: Reason = reason
        self.public = public or actual


class SelfCertified(RegistryError):
    """Whoever trained a version, or asked for its training, tried to decide about it."""

    def __init__(self, version: str, *, by: str, trained_by: str) -> None:
        super().__init__(
            expected=f"a decision about {version} by somebody who did not train it",
            actual=f"{by}; it was trained by {trained_by}",
            next="Ask somebody else to certify it.",
        )
        self.public = "a certificate by somebody who trained it"


class SamePerson(RegistryError):
    """A channel wants two people: one who certifies a version, and another who promotes it."""

    def __init__(self, channel: str, version: str, *, by: str, certified_by: str) -> None:
        super().__init__(
            expected=f"channel {channel} to be moved to {version} by somebody who did not certify it",
            actual=f"{by}; it was certified by {certified_by}",
            next="Ask somebody else to promote it.",
        )
        self.public = "one person who certified and promoted it"


class MoverRefused(RegistryError):
    """A channel may be moved by some people only."""

    def __init__(self, channel: str, *, by: str, movers: tuple[str, ...]) -> None:
        super().__init__(
            expected=f"channel {channel} to be moved by {' or '.join(movers)}",
            actual=by,
            next="Ask one of them, or have your name added to `petpark:channels` in the stack that owns the platform.",
        )


class MetricBelow(RegistryError):
    """A channel wants a metric at or above that of the version in place."""

    def __init__(self, version: str, *, metric: str, least: float, actual: float | None, in_place: str) -> None:
        super().__init__(
            expected=f"{version} with {metric} of at least {least:g}, that of {in_place}",
            actual="no such metric" if actual is None else f"{actual:g}",
            next=f"Promote a version that is no worse, or change the channel's `metric` in `petpark:channels`. "
            f"`petpark models list` shows {metric} of every version.",
        )


class GatesFailed(RegistryError):
    """A channel takes only versions that passed all their gates; `failed` names those that this one did not pass."""

    def __init__(self, channel: str, version: str, *, number: int, failed: tuple[str, ...]) -> None:
        super().__init__(
            expected=f"{version} with every gate passed, as channel {channel} asks",
            actual=f"failed: {', '.join(failed)}" if failed else "it was never held against gates",
            next=f"`petpark models report {number}` says by how much and what to try; train again with that. Or change "
            f"`petpark:gates`, or the channel's `gates` in `petpark:channels`, in the stack that owns the platform.",
        )
        self.failed = failed


class GatesNotNamed(RegistryError):
    """Gates stand against a version, and whoever certifies it must name each of them. Nothing was signed."""

    def __init__(self, version: str, *, number: int, against: "Mapping[str, str]", despite: "Sequence[str]") -> None:
        said = ", ".join(f"{name} ({why})" for name, why in against.items())
        others = sorted(set(despite) - set(against))
        parts = [f"named: {', '.join(despite) or 'none'}", f"not among them: {', '.join(others)}" if others else ""]
        options = " ".join(f"--despite {name}" for name in against)
        super().__init__(
            expected=f"each gate that stands against {version} named: {said}"
            if against
            else f"no gate named: {version} passed every one that it was held against",
            actual="; ".join(filter(None, parts)),
            next=f"Read what they say: `petpark models report {number}`. "
            + (f"To certify it all the same: {options}" if against else "Leave --despite out."),
        )
        self.against = dict(against)


class NumberTaken(RegistryError):
    """Another version was published under the number that this one names in its files. Nothing was published."""

    def __init__(self, model: str, number: int) -> None:
        super().__init__(
            expected=f"number {number} of model {model} to be free",
            actual="another version has it",
            next="Publish again under the next number.",
        )


class ReasonMissing(RegistryError):
    """A decision of a person carries the reason for it. Nothing was added."""

    def __init__(self, what: str, actual: str = "an empty one") -> None:
        super().__init__(
            expected=f"{what} that says something",
            actual=actual,
            next="Write a few words for those who read the log later.",
        )


class DecidedAfterMove(RegistryError):
    """While a channel was moved to a version, somebody decided against that version. The channel was moved."""

    def __init__(self, move: "Move", *, actual: str) -> None:
        super().__init__(
            expected=f"a certificate in force for version {move.version} when entry {move.number} of channel "
            f"{move.channel} was written",
            actual=actual,
            next="The channel names that version now, and endpoints that ask for certificates do not serve it. "
            f"Move it again: `petpark rollback --channel {move.channel}`.",
        )
        self.move = move


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
