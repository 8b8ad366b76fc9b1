"""What S3 may answer, and what becomes of it. The server is moto behind HTTP; a fault is an answer of that server."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from registry.channels.channel import Channel
from registry.errors import (
    ClockSkewed,
    FileChanged,
    ObjectExists,
    StoreConflict,
    StoreRefused,
    StoreUnavailable,
    StreamTorn,
)
from registry.store.local_files import sha256_of
from registry.store.s3_client import s3_client
from registry.store.s3_store import PART_BYTES, S3Store
from registry.versions.catalog import Catalog
from tests.registry.test_parsers import VERSION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGE = 17 * 2**20


type Fault = Callable[..., None]
type Requests = list[tuple[str, str, str | None]]


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(bytes(LARGE))
    return path


def test_every_write_is_conditional(s3_store: S3Store, large_file: Path, requests_seen: Requests) -> None:
    s3_store.create("small", b"x")
    s3_store.create_from("large", large_file)
    writes = [
        condition
        for method, query, condition in requests_seen
        if (method == "PUT" and "partNumber" not in query) or (method == "POST" and "uploadId" in query)
    ]
    assert writes == ["*", "*"]


def test_a_conflict_between_writers_is_asked_again(s3_store: S3Store, fault: Fault) -> None:
    fault("PUT", status="409 Conflict", code="ConditionalRequestConflict", times=2)
    s3_store.create("key", b"x")
    assert s3_store.get("key") == b"x"


def test_a_conflict_that_does_not_end_is_said(s3_store: S3Store, fault: Fault) -> None:
    fault("PUT", status="409 Conflict", code="ConditionalRequestConflict", times=1000)
    with pytest.raises(StoreConflict):
        s3_store.create("key", b"x")


def test_a_conflict_at_completion_sends_the_whole_file_again(s3_store: S3Store, large_file: Path, fault: Fault) -> None:
    fault("POST", query="uploadId", status="409 Conflict", code="ConditionalRequestConflict")
    s3_store.create_from("key", large_file)
    found = s3_store.stat("key")
    assert found is not None
    assert found.bytes == LARGE


def test_a_busy_store_is_asked_again(s3_store: S3Store, fault: Fault) -> None:
    fault("PUT", times=3)
    s3_store.create("key", b"x")
    fault("GET", times=3)
    assert s3_store.get("key") == b"x"


def test_a_store_that_stays_busy_is_given_up(s3_store: S3Store, fault: Fault, requests_seen: Requests) -> None:
    fault("PUT", times=1000)
    with pytest.raises(StoreUnavailable):
        s3_store.create("key", b"x")
    assert len(requests_seen) == 5  # the retry budget


def test_a_write_whose_answer_was_lost_shows_as_taken(s3_store: S3Store, fault: Fault) -> None:
    fault("PUT", applied=True)
    with pytest.raises(ObjectExists):
        s3_store.create("key", b"mine")
    assert s3_store.get("key") == b"mine"


@pytest.mark.parametrize("times", [1, 5], ids=["repeated by botocore", "given up by botocore"])
def test_a_move_whose_answer_was_lost_is_recognised(
    s3_store: S3Store, tmp_path: Path, fault: Fault, times: int
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    version = Catalog(s3_store, "pets").publish({"file": tmp_path / "file"}, labels=[], metrics={}, lineage={})
    channel = Channel(s3_store, "pets", "prod")
    fault("PUT", applied=True, times=times)
    move = channel.move(version, by="mia", why="unlucky")
    assert channel.history() == [move]


def test_a_torn_answer_is_read_again(s3_store: S3Store, tmp_path: Path, fault: Fault) -> None:
    s3_store.create("key", b"0123456789" * 1000)
    fault("GET", torn=True)
    assert len(s3_store.get("key")) == 10_000
    fault("GET", torn=True)
    s3_store.download("key", tmp_path / "file")
    assert (tmp_path / "file").stat().st_size == 10_000


def test_an_answer_that_stays_torn_leaves_no_file(s3_store: S3Store, tmp_path: Path, fault: Fault) -> None:
    s3_store.create("key", b"0123456789" * 1000)
    fault("GET", torn=True, times=1000)
    with pytest.raises(StreamTorn):
        s3_store.download("key", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_torn_chunk_is_asked_for_again(s3_store: S3Store, fault: Fault) -> None:
    s3_store.create("key", bytes(9 * 2**20))
    fault("GET", torn=True, times=2)
    assert sum(map(len, s3_store.chunks("key"))) == 9 * 2**20


def test_an_object_that_is_replaced_while_its_chunks_are_taken_is_said_to_be(s3_store: S3Store, s3: "S3Client") -> None:
    s3_store.create("key", bytes(64 * 2**20))  # far more than what is requested ahead
    chunks = s3_store.chunks("key")
    next(chunks)
    s3.put_object(Bucket=s3_store._bucket, Key="key", Body=bytes(64 * 2**20 - 1))
    with pytest.raises(StreamTorn, match="replaced or removed"):
        list(chunks)


def test_the_loser_of_a_race_between_large_files_leaves_no_parts(
    s3_store: S3Store, s3: "S3Client", large_file: Path
) -> None:
    s3_store.create("key", b"winner")
    with pytest.raises(ObjectExists):
        s3_store.create_from("key", large_file)
    assert s3_store.get("key") == b"winner"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=s3_store._bucket)


def test_a_large_file_that_changed_leaves_no_parts(s3_store: S3Store, s3: "S3Client", large_file: Path) -> None:
    with pytest.raises(FileChanged):
        s3_store.create_from("key", large_file, sha256="0" * 64)
    assert s3_store.stat("key") is None
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=s3_store._bucket)


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_that_is_a_day_off_is_named_before_anything_is_written(
    s3_store: S3Store, s3: "S3Client", hours: int
) -> None:
    s3_store.create("pets/channels/prod/00000001.json", b"")
    skewed = S3Store(s3, s3_store._bucket, clock=lambda: datetime.now(UTC) + timedelta(hours=hours))
    for ask in (
        lambda: skewed.get("pets/channels/prod/00000001.json"),
        lambda: skewed.get("nothing"),
        lambda: skewed.stat("pets/channels/prod/00000001.json"),
        lambda: list(skewed.keys("pets/")),
        lambda: list(skewed.stats("pets/")),
        lambda: Channel(skewed, "pets", "test").move(VERSION, by="mia", why=""),
    ):
        with pytest.raises(ClockSkewed, match="Set the clock"):
            ask()
    assert list(s3_store.keys("pets/")) == ["pets/channels/prod/00000001.json"]


def test_a_clock_that_is_a_little_off_is_endured(s3_store: S3Store, s3: "S3Client") -> None:
    s3_store.create("key", b"x")
    assert S3Store(s3, s3_store._bucket, clock=lambda: datetime.now(UTC) + timedelta(minutes=10)).get("key") == b"x"


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_clock_that_is_off_by_more_than_aws_lets_it_is_refused(s3_store: S3Store, s3: "S3Client", sign: int) -> None:
    """Fifteen minutes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (RequestTimeTooSkewed)."""
    s3_store.create("key", b"x")
    for minutes, is_refused in ((14, False), (16, True)):
        off = sign * timedelta(minutes=minutes)
        store = S3Store(s3, s3_store._bucket, clock=lambda off=off: datetime.now(UTC) + off)
        with pytest.raises(ClockSkewed) if is_refused else nullcontext():
            assert store.get("key") == b"x"


def test_what_aws_says_of_a_skewed_clock_has_the_same_name(s3_store: S3Store, fault: Fault) -> None:
    fault("GET", status="403 Forbidden", code="RequestTimeTooSkewed")
    with pytest.raises(ClockSkewed):
        s3_store.get("key")


def test_a_large_object_comes_in_parts_side_by_side(
    s3_store: S3Store, large_file: Path, tmp_path: Path, requests_seen: Requests
) -> None:
    s3_store.create_from("key", large_file)
    requests_seen.clear()
    assert s3_store.download("key", tmp_path / "down", size=LARGE) == sha256_of(large_file)
    assert [method for method, _, _ in requests_seen] == ["GET", "GET"]


def test_an_object_that_is_longer_or_shorter_than_was_said_comes_as_it_is(
    s3_store: S3Store, large_file: Path, tmp_path: Path
) -> None:
    s3_store.create_from("key", large_file)
    for size in (LARGE - 100, LARGE + 3 * PART_BYTES):
        assert s3_store.download("key", tmp_path / "down", size=size) == sha256_of(large_file), "all that is there"


def test_a_refusal_says_what_to_check(s3_store: S3Store, s3: "S3Client", fault: Fault) -> None:
    fault("GET", status="403 Forbidden", code="AccessDenied")
    with pytest.raises(StoreRefused, match="ListBucket"):
        s3_store.get("key")
    with pytest.raises(StoreRefused, match="NoSuchBucket"):
        S3Store(s3, "no-such-bucket").get("key")


def test_nobody_there_is_said(s3: "S3Client", fault: Fault) -> None:
    client = s3_client("http://127.0.0.1:9", "eu-west-1")  # the discard port: nothing listens
    with pytest.raises(StoreUnavailable):
        S3Store(client, "bucket").create("key", b"x")
    client.close()


def test_listing_goes_over_pages(s3_store: S3Store, requests_seen: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"log/{number:08d}.json" for number in range(1, 11)]
    for key in keys:
        s3_store.create(key, b"")
    requests_seen.clear()
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "4")
    assert list(s3_store.keys("log/")) == keys
    assert len(requests_seen) == 3
