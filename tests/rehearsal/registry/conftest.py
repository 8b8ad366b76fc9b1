"""A fresh bucket of the emulator, with versions, as the store that the registry's own suite runs over."""

import itertools
from collections.abc import Callable

import pytest

from registry.object_store import PrunableStore, S3Store
from rehearsal.emulator import Emulator
from tests.registry import conftest

files = conftest.files  # the suite's own

_buckets = itertools.count(1)


@pytest.fixture
def new_store(emulator: Emulator) -> Callable[[], PrunableStore]:
    """Makes a store in a new bucket."""
    s3 = emulator.client("s3")

    def make() -> S3Store:
        bucket = f"suite-{next(_buckets)}"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": emulator.region})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return S3Store(s3, bucket)

    return make


@pytest.fixture
def store(new_store: Callable[[], PrunableStore]) -> PrunableStore:
    return new_store()
