"""A fresh bucket of the emulator, with versions, as the store that the registry's own suite runs over."""

import itertools
from collections.abc import Callable

import boto3
import pytest

from registry.store.crt_transfer import crt_transfer
from registry.store.object_store import PrunableStore
from registry.store.s3_store import S3Store
from rehearsal.emulator import Emulator
from tests.registry import conftest

files = conftest.files  # the suite's own

_buckets = itertools.count(1)


@pytest.fixture(scope="session")
def new_store(emulator: Emulator) -> Callable[[], PrunableStore]:
    """Makes a store in a new bucket. One client for all tests: to make one costs more than most tests do."""
    s3 = emulator.client("s3")
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=emulator.region)
    transfer = crt_transfer(session, s3)
    assert transfer is not None, "as operators and instances have it"

    def make() -> S3Store:
        bucket = f"suite-{next(_buckets)}"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": emulator.region})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return S3Store(s3, bucket, transfer=transfer, transfer_reads=True)  # as commands do

    return make


@pytest.fixture
def store(new_store: Callable[[], PrunableStore]) -> PrunableStore:
    return new_store()
