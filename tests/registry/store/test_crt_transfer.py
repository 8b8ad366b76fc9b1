"""What S3 may answer to AWS's transfer library, and what becomes of it: the same outcomes as without it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from registry.channels.channel import Channel
from registry.errors import (
    ClockSkewed,
    ObjectExists,
    ObjectMissing,
    StoreConflict,
    StoreRefused,
    StoreUnavailable,
    StreamTorn,
)
from registry.store.crt_transfer import CrtTransfer, crt_transfer
from registry.store.local_files import sha256_of
from registry.store.s3_client import s3_client
from registry.store.s3_store import S3Store
from registry.versions.catalog import Catalog

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGE = 17 * 2**20

type Fault = Callable[..., None]
type Requests = list[tuple[str, str, str | None]]


@pytest.fixture
def crt_store(new_crt_store: Callable[[], S3Store], monkeypatch: pytest.MonkeyPatch) -> S3Store:
    monkeypatch.setattr("registry.store.crt_transfer.BACKOFF_MILLISECONDS", 1)
    return new_crt_store()


def session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")


def test_the_request_that_makes_an_object_appear_is_conditional(crt_store: S3Store, requests_seen: Requests) -> None:
    crt_store.create("small", b"x")
    crt_store.create("large", bytes(LARGE))
    appearing = [
        condition
        for method, query, condition in requests_seen
        if (method == "PUT" and "partNumber" not in query) or (method == "POST" and "uploadId" in query)
    ]
    assert appearing == ["*", "*"]
    assert sum("partNumber" in query for _, query, _ in requests_seen) == 3


def test_a_busy_store_is_asked_again(crt_store: S3Store, fault: Fault, tmp_path: Path) -> None:
    fault("PUT", times=2)
    crt_store.create("key", b"x")
    fault("GET", times=2)
    crt_store.download("key", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == b"x"


def test_a_store_that_stays_busy_is_given_up(crt_store: S3Store, fault: Fault, requests_seen: Requests) -> None:
    fault("PUT", times=1000)
    with pytest.raises(StoreUnavailable):
        crt_store.create("key", b"x")
    assert len(requests_seen) == 5  # the retry budget


def test_a_conflict_between_writers_is_asked_again(crt_store: S3Store, fault: Fault) -> None:
    fault("PUT", status="409 Conflict", code="ConditionalRequestConflict", times=2)
    crt_store.create("key", b"x")
    assert crt_store.get("key") == b"x"
    fault("PUT", status="409 Conflict", code="ConditionalRequestConflict", times=1000)
    with pytest.raises(StoreConflict):
        crt_store.create("other", b"x")


def test_a_write_whose_answer_was_lost_shows_as_taken(crt_store: S3Store, fault: Fault) -> None:
    fault("PUT", applied=True)
    with pytest.raises(ObjectExists):
        crt_store.create("key", b"x")
    assert crt_store.get("key") == b"x"


def test_a_move_whose_answer_was_lost_is_known_by_its_write_id(
    crt_store: S3Store, fault: Fault, files: dict[str, Path]
) -> None:
    version = Catalog(crt_store, "pets").publish(files, labels=["cat"], metrics={}, lineage={})
    fault("PUT", applied=True)
    assert Channel(crt_store, "pets", "prod").move(version, by="mia", why="").number == 1


def test_a_missing_object_leaves_no_file(crt_store: S3Store, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing):
        crt_store.download("nothing", tmp_path / "down")
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_breaks_off_is_read_again_or_named(crt_store: S3Store, fault: Fault, tmp_path: Path) -> None:
    crt_store.create("key", b"0123456789")
    fault("GET", torn=True)
    crt_store.download("key", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == b"0123456789"
    fault("GET", torn=True, times=1000)
    with pytest.raises(StoreUnavailable):
        crt_store.download("key", tmp_path / "again")
    assert [path.name for path in tmp_path.iterdir()] == ["down"]


def test_small_objects_are_read_by_the_library_where_that_is_asked_for(
    s3: "S3Client", crt_store: S3Store, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = S3Store(s3, crt_store._bucket, transfer=CrtTransfer(session(), s3), transfer_reads=True)
    store.create("key", b"0123456789")
    monkeypatch.setattr(s3, "get_object", None)  # botocore must not be asked
    assert store.get("key") == b"0123456789"
    fault("GET", times=2)
    assert store.get("key") == b"0123456789"
    fault("GET", torn=True)
    assert store.get("key") == b"0123456789"
    with pytest.raises(ObjectMissing):
        store.get("nothing")


def _raise(error: Exception | None) -> None:
    if error:
        raise error


def test_each_of_many_objects_is_retried_and_fails_separately(
    crt_store: S3Store, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = [(f"{number}", b"0123456789") for number in range(5)]
    fault("PUT", status="409 Conflict", code="ConditionalRequestConflict", times=2)
    assert list(crt_store.create_each(objects)) == [None] * 5
    fault("PUT", status="403 Forbidden", code="AccessDenied")
    outcomes = list(crt_store.create_each((f"other/{key}", body) for key, body in objects))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] * 4 + ["StoreRefused"]
    checks = iter([StreamTorn("read 0", "other bytes")])
    monkeypatch.setattr("registry.store.crt_transfer.check_body", lambda *_: _raise(next(checks, None)))
    assert list(crt_store.get_each(key for key, _ in objects)) == [body for _, body in objects]
    assert next(checks, None) is None
    fault("GET", torn=True, times=1000)
    with pytest.raises(StoreUnavailable):
        list(crt_store.get_each(key for key, _ in objects))


def test_a_full_disk_is_said_as_such(s3: "S3Client", crt_store: S3Store) -> None:
    crt_store.create("key", b"x")

    def take(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        CrtTransfer(session(), s3).receive(crt_store._bucket, "key", take, size=1, check=lambda _: None)


def test_refusals_and_missing_buckets_are_named(
    s3: "S3Client", crt_store: S3Store, fault: Fault, tmp_path: Path
) -> None:
    fault("PUT", status="403 Forbidden", code="AccessDenied")
    with pytest.raises(StoreRefused, match="AccessDenied"):
        crt_store.create("key", b"x")
    with pytest.raises(StoreRefused, match="NoSuchBucket"):
        S3Store(s3, "no-such-bucket", transfer=CrtTransfer(session(), s3)).download("key", tmp_path / "down")


def test_nobody_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.store.crt_transfer.BACKOFF_MILLISECONDS", 1)
    client = s3_client("http://127.0.0.2:9", "eu-west-1")  # the discard port: nothing listens
    with pytest.raises(StoreUnavailable):
        S3Store(client, "bucket", transfer=CrtTransfer(session(), client)).create("key", b"x")
    client.close()


def test_no_credentials_are_said(s3: "S3Client", monkeypatch: pytest.MonkeyPatch) -> None:
    bare = boto3.Session()
    monkeypatch.setattr(bare, "get_credentials", lambda: None)
    with pytest.raises(StoreRefused, match="no AWS credentials"):
        CrtTransfer(bare, s3).create("bucket", "key", b"x")


def test_a_clock_that_is_a_day_off_is_named(s3: "S3Client", crt_store: S3Store, tmp_path: Path) -> None:
    crt_store.create("key", b"x")
    skewed = S3Store(
        s3,
        crt_store._bucket,
        transfer=CrtTransfer(session(), s3),
        clock=lambda: datetime.now(UTC) + timedelta(days=1),
    )
    with pytest.raises(ClockSkewed):
        skewed.download("key", tmp_path / "down")
    assert list(tmp_path.iterdir()) == []
    reading = S3Store(
        s3,
        crt_store._bucket,
        transfer=CrtTransfer(session(), s3),
        transfer_reads=True,
        clock=lambda: datetime.now(UTC) - timedelta(days=1),
    )
    for key in ("key", "nothing"):
        with pytest.raises(ClockSkewed):
            reading.get(key)


def test_large_objects_come_back_as_they_went(crt_store: S3Store, tmp_path: Path) -> None:
    content = bytes(range(256)) * (LARGE // 256)
    crt_store.create("key", content)
    for size in (None, LARGE):
        digest = crt_store.download("key", tmp_path / "down", size=size)
        assert digest == sha256_of(tmp_path / "down")
        assert (tmp_path / "down").read_bytes() == content


@pytest.mark.parametrize(
    ("variable", "value", "used"),
    [("HTTP_PROXY", "http://proxy:3128", False), ("NO_PROXY", "127.0.0.1", True), ("AWS_CA_BUNDLE", "ca.pem", True)],
)
def test_behind_a_proxy_botocore_does_it_all(
    s3: "S3Client", monkeypatch: pytest.MonkeyPatch, variable: str, value: str, used: bool
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    assert (crt_transfer(session(), s3) is not None) is used, "certificates matter over https only"
