"""What was read from the store is not what petpark writes, or not what stood there before."""

from registry.errors.base import RegistryError


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


class ReferenceMalformed(Malformed):
    """A version's reference for drift that does not parse, or says something impossible."""

    what = "a reference"


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
            next="No endpoint can follow the log beyond this entry. `petpark models fsck` shows the bucket's history: "
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
