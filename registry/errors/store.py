"""Errors of the object store."""

from registry.errors.base import RegistryError


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
    """No object has this key."""

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
    """The store did not decide between concurrent writers of one key (409), after all retries."""


class StreamTorn(StoreUnavailable):
    """An object's bytes ended early, on every attempt."""


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
            next="This store cannot hold a registry: use S3, or a store with conditional writes. Nothing was written.",
        )


class StoreRefused(RegistryError):
    """The store refused: permissions, a missing bucket, credentials."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(
            expected=f"permission to {action}",
            actual=reason,
            next="Check bucket, credentials and role. Every role needs s3:GetObject and s3:ListBucket on all of it "
            "(without ListBucket S3 answers 403 for 404), and writers s3:PutObject on their prefix.",
        )


class ClockSkewed(RegistryError):
    """The clocks of this machine and of the store are more than a quarter of an hour apart. Nothing was changed."""

    def __init__(self, there: str, *, actual: str) -> None:
        super().__init__(
            expected=f"this machine's clock at {there}, the object store's time",
            actual=actual,
            next="Set the clock (timedatectl set-ntp true); times go into certificates and logs.",
        )
