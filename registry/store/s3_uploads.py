"""An object sent to S3 in parts, by botocore: the completion is conditional, and nothing is visible before it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from registry.errors import FileChanged, ForeignAnswer
from registry.store.s3_answers import check_written
from registry.store.s3_outcomes import outcomes
from registry.store.transfer import in_order

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 16 * 1024 * 1024
"""Objects above this size go up in parts of it: at most 10,000 parts (S3), so objects up to 160 GB."""


def create_in_parts(
    client: "S3Client", bucket: str, key: str, chunks: Iterable[bytes], *, check: Callable[[], None] = lambda: None
) -> None:
    """Store the chunks as one object unless the key is taken; the upload is aborted unless it completes.

    `check` is called when all chunks are sent, and prevents the completion by raising. Raises as ObjectStore.create.
    """
    with outcomes("write", key):
        upload = client.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="CRC32")
        if not upload.get("UploadId"):
            raise ForeignAnswer(f"write {key}", "an answer without an UploadId")
    upload_id = upload["UploadId"]
    try:
        with outcomes("write", key):
            send = partial(_send_part, client, bucket, key, upload_id)
            parts = list(in_order(send, enumerate(chunks, start=1)))
            check()
            completed = client.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
            check_written(f"write {key}", completed)
    except BaseException:
        # Best effort: parts that stay behind are invisible, and the bucket's lifecycle rule removes them.
        with contextlib.suppress(BotoCoreError, ClientError):
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        raise


def create_file_in_parts(client: "S3Client", bucket: str, key: str, path: Path, *, sha256: str | None) -> None:
    """Store a file as `create_in_parts` does; FileChanged, and no object, if its content has another hash."""
    seen = hashlib.sha256()
    with path.open("rb") as file:
        chunks = _seen(iter(lambda: file.read(PART_BYTES), b""), seen.update)
        check = partial(check_unchanged, path, expected=sha256)
        create_in_parts(client, bucket, key, chunks, check=lambda: check(actual=seen.hexdigest()))


def check_unchanged(path: Path, *, expected: str | None, actual: str) -> None:
    """FileChanged unless the hash is the expected one, if one is."""
    if expected is not None and expected != actual:
        raise FileChanged(str(path), expected=expected, actual=actual)


def _seen(chunks: Iterable[bytes], see: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        see(chunk)
        yield chunk


def slices(body: bytes) -> Iterator[bytes]:
    """The bytes in parts."""
    return (body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES))


def _send_part(
    client: "S3Client", bucket: str, key: str, upload_id: str, part: tuple[int, bytes]
) -> "CompletedPartTypeDef":
    number, body = part
    answer = client.upload_part(
        Bucket=bucket,
        Key=key,
        UploadId=upload_id,
        PartNumber=number,
        Body=body,
        ChecksumAlgorithm="CRC32",
    )
    check_written(f"write {key}", answer, body)
    sent: CompletedPartTypeDef = {"PartNumber": number, "ETag": answer["ETag"]}
    if "ChecksumCRC32" in answer:
        sent["ChecksumCRC32"] = answer["ChecksumCRC32"]
    return sent
