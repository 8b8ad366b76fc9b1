"""The object store on S3: every write carries `If-None-Match: *`.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import contextlib
import hashlib
import random
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from registry.encoding import sha256_hex
from registry.errors import (
    FileChanged,
    ObjectExists,
    ObjectMissing,
    RegistryError,
    StoreConflict,
    StoreRefused,
    StoreUnavailable,
    StreamTorn,
)
from registry.local_files import written_whole

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 16 * 1024 * 1024
"""Files above this size go up in parts of it: at most 10,000 parts (S3), so files up to 160 GB."""

PARTS_AT_ONCE = 4
CHUNK_BYTES = 1024 * 1024
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Upper bounds in seconds of the random pauses between tries that botocore does not repeat by itself."""


def s3_client(endpoint_url: str | None = None, region: str | None = None) -> "S3Client":
    """A client with deadlines and a retry budget: at most 5 tries of 3 s to connect and 20 s to hear something."""
    config = Config(
        connect_timeout=3,
        read_timeout=20,
        retries={"mode": "standard", "total_max_attempts": 5},
        max_pool_connections=32,
        s3={"addressing_style": "path"} if endpoint_url else {},
    )
    return boto3.client("s3", endpoint_url=endpoint_url, region_name=region, config=config)


class S3Store:
    """An ObjectStore in a bucket of S3, or of any store with strong reads, ordered listing and `If-None-Match: *`."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def create(self, key: str, body: bytes) -> None:
        """See ObjectStore."""

        def put() -> None:
            with _outcomes("write", key):
                self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")

        _repeat(put, on=StoreConflict)

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        """See ObjectStore."""
        with path.open("rb") as file:
            start = file.read(PART_BYTES + 1)
        if len(start) > PART_BYTES:
            # After a 409 S3 wants the whole upload again, not only its completion.
            _repeat(lambda: self._create_in_parts(key, path, sha256), on=StoreConflict)
        else:
            _check_unchanged(path, expected=sha256, actual=sha256_hex(start))
            self.create(key, start)

    def get(self, key: str) -> bytes:
        """See ObjectStore."""

        def read() -> bytes:
            with _outcomes("read", key):
                return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

        return _repeat(read, on=StreamTorn)

    def download(self, key: str, path: Path) -> None:
        """See ObjectStore."""

        def copy() -> None:
            with written_whole(path) as file, _outcomes("read", key):
                body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
                for chunk in body.iter_chunks(CHUNK_BYTES):
                    file.write(chunk)

        _repeat(copy, on=StreamTorn)

    def size(self, key: str) -> int | None:
        """See ObjectStore."""
        try:
            with _outcomes("read", key):
                return self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]
        except ObjectMissing:
            return None

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, StartAfter=after
        )
        remaining = iter(pages)
        while True:
            with _outcomes("list", prefix):
                page = next(remaining, None)
            if page is None:
                return
            yield from (found["Key"] for found in page.get("Contents", []) if "Key" in found)

    def _create_in_parts(self, key: str, path: Path, sha256: str | None) -> None:
        """A multipart upload whose completion is conditional; aborted unless it completes."""
        with _outcomes("write", key):
            upload = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ChecksumAlgorithm="CRC32")
        try:
            with _outcomes("write", key), path.open("rb") as file:
                seen = hashlib.sha256()
                parts = self._send_parts(key, upload["UploadId"], file, seen.update)
                _check_unchanged(path, expected=sha256, actual=seen.hexdigest())
                self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload["UploadId"],
                    MultipartUpload={"Parts": parts},
                    IfNoneMatch="*",
                )
        except BaseException:
            # Best effort: parts that stay behind are invisible, and the bucket's lifecycle rule removes them.
            with contextlib.suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload["UploadId"])
            raise

    def _send_parts(
        self, key: str, upload_id: str, file: BinaryIO, seen: Callable[[bytes], None]
    ) -> "list[CompletedPartTypeDef]":
        def send(part: tuple[int, bytes]) -> "CompletedPartTypeDef":
            number, body = part
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=body,
                ChecksumAlgorithm="CRC32",
            )
            sent: CompletedPartTypeDef = {"PartNumber": number, "ETag": answer["ETag"]}
            if "ChecksumCRC32" in answer:
                sent["ChecksumCRC32"] = answer["ChecksumCRC32"]
            return sent

        def chunks() -> Iterator[bytes]:
            while chunk := file.read(PART_BYTES):
                seen(chunk)
                yield chunk

        parts: list[CompletedPartTypeDef] = []
        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            # One batch in memory at a time, whatever the file's size.
            for batch in batched(enumerate(chunks(), start=1), PARTS_AT_ONCE, strict=False):
                parts.extend(pool.map(send, batch))
        return parts


def _check_unchanged(path: Path, *, expected: str | None, actual: str) -> None:
    if expected is not None and expected != actual:
        raise FileChanged(str(path), expected=expected, actual=actual)


def _repeat[T](action: Callable[[], T], *, on: type[StoreUnavailable]) -> T:
    """Try again what botocore does not: after a 409, and after a stream that broke off."""
    for pause in PAUSES:
        try:
            return action()
        except on:
            time.sleep(random.uniform(0, pause))  # noqa: S311 — spreads contenders, guards nothing
    return action()


@contextlib.contextmanager
def _outcomes(action: str, key: str) -> Generator[None]:
    """Turn botocore's exceptions into ours."""
    try:
        yield
    except ClientError as error:
        raise _outcome(action, key, error) from error
    except (IncompleteReadError, ResponseStreamingError) as error:
        raise StreamTorn(f"{action} {key}", str(error)) from error
    except (HTTPClientError, BotoConnectionError) as error:
        raise StoreUnavailable(f"{action} {key}", str(error)) from error
    except BotoCoreError as error:
        raise StoreRefused(f"{action} {key}", str(error)) from error


def _outcome(action: str, key: str, error: ClientError) -> RegistryError:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status == 412:
        return ObjectExists(key)
    if status == 409:
        return StoreConflict(f"{action} {key}", str(error))
    if code == "NoSuchUpload":  # the answer to an earlier try was lost: the upload was completed, or aborted
        return StoreUnavailable(f"{action} {key}", str(error))
    if status == 404 and code != "NoSuchBucket":
        return ObjectMissing(key)
    if status >= 500 or code in {"SlowDown", "RequestTimeout", "ThrottlingException", "Throttling"}:
        return StoreUnavailable(f"{action} {key}", str(error))
    return StoreRefused(f"{action} {key}", str(error))
