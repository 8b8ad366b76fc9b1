"""Photos in a bucket."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from registry.errors import ObjectMissing
from registry.store.object_store import ObjectStore
from training.dataset.sources.source import MAX_BYTES, Candidate, SkippedFile, Unreadable, is_hidden, too_large
from training.errors import DatasetRefused

SCHEME = "s3://"


@dataclass(frozen=True, kw_only=True)
class Address:
    """A place in S3: a bucket, and a key or the beginning of keys in it."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `s3://bucket/key`; raises DatasetRefused."""
        bucket, _, key = url.removeprefix(SCHEME).partition("/")
        if not url.startswith(SCHEME) or not bucket:
            raise DatasetRefused(f"{url} is not an S3 location; use s3://bucket/prefix")
        return cls(bucket=bucket, key=key)


@dataclass(frozen=True, kw_only=True)
class PrefixSource:
    """The objects below a prefix as below a folder, ascending by key; hidden ones are left alone."""

    store: ObjectStore
    prefix: str

    def count(self) -> int | None:
        """See Source; listing costs a request a thousand objects."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Candidate | SkippedFile]:
        """See Source."""
        start = f"{self.prefix.rstrip('/')}/" if self.prefix.strip("/") else ""
        for found in self.store.stats(start):
            key = found.key.removeprefix(start)
            if not key or key.endswith("/") or is_hidden(key):
                continue  # consoles make an empty object for a folder
            if found.bytes > MAX_BYTES:
                yield SkippedFile(key=key, reason=too_large(found.bytes))
            else:
                yield Candidate(key=key, read=_Read(self.store, found.key))


@dataclass(frozen=True)
class _Read:
    store: ObjectStore
    key: str

    def __call__(self) -> bytes:
        try:
            return self.store.get(self.key)
        except ObjectMissing as error:
            raise Unreadable("removed while photos were ingested") from error
