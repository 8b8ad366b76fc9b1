"""The object store on S3: every write carries `If-None-Match: *`.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from registry.clock import Clock, utc_now
from registry.encoding import format_time, sha256_hex
from registry.errors import (
    ClockSkewed,
    ForeignAnswer,
    ObjectExists,
    ObjectMissing,
    RegistryError,
    StoreConflict,
    StoreUnavailable,
    StreamTorn,
)
from registry.store.local_files import removed_on_error
from registry.store.object_info import Revision, Stored
from registry.store.s3_answers import check_deleted, check_listing, check_object, check_written, store_time
from registry.store.s3_client import follow_no_redirect
from registry.store.s3_outcomes import outcomes
from registry.store.s3_uploads import PART_BYTES, check_unchanged, create_file_in_parts, create_in_parts, slices
from registry.store.side_hash import hash_of
from registry.store.transfer import (
    PendingRequest,
    Transfer,
    create_each,
    get_each,
    in_order,
    outcome_of,
    side_by_side,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK_BYTES = 1024 * 1024
RANGE_BYTES = 4 * 1024 * 1024
"""Bytes that `chunks` requests at a time; some five such ranges are in memory."""

_LISTED = ("Contents", "Versions", "DeleteMarkers")
BEYOND_ITS_END = "InvalidRange"
CLOCK_TOLERANCE = timedelta(minutes=15)
"""How far AWS lets a clock be off. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Upper bounds in seconds of the random pauses between tries that botocore does not make itself."""


class S3Store:
    """A PrunableStore in a bucket of S3, or of any store with strong reads, ordered listing and `If-None-Match: *`."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        *,
        transfer: Transfer | None = None,
        transfer_reads: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        """`transfer` moves what is written and downloaded; without it, `client` does.

        With `transfer_reads` it also moves what `get` reads, for a third of the processor time: right where many small
        objects are read. Its retries take longer than those of a client that gives up soon.
        """
        client.meta.events.register("before-call.s3.HeadBucket", follow_no_redirect, unique_id="petpark")
        self._client = client
        self._bucket = bucket
        self._transfer = transfer
        self._reads_by = transfer if transfer_reads else None
        self._clock = clock

    def create(self, key: str, body: bytes) -> None:
        """See ObjectStore."""
        transfer = self._transfer
        if transfer is not None:
            _repeat(lambda: transfer.create(self._bucket, key, body), on=StoreConflict)
        elif len(body) > PART_BYTES:
            # After a 409 S3 wants the whole upload again, not only its completion.
            _repeat(lambda: create_in_parts(self._client, self._bucket, key, slices(body)), on=StoreConflict)
        else:
            _repeat(lambda: self._put(key, body), on=StoreConflict)

    def create_each(self, objects: Iterable[tuple[str, bytes]]) -> Generator[RegistryError | None]:
        """See ObjectStore."""
        transfer = self._transfer
        if transfer is None:
            yield from create_each(self.create, objects)
            return

        def begin(each: tuple[str, bytes]) -> PendingRequest[RegistryError | None]:
            begun = transfer.begin_create(self._bucket, *each)
            return PendingRequest(result=lambda: self._stored(begun, *each), cancel=begun.cancel)

        for begun in side_by_side(begin, objects):
            yield begun.result()

    def create_from(self, key: str, path: Path, *, sha256: str | None = None) -> None:
        """See ObjectStore."""
        if path.stat().st_size <= PART_BYTES:
            body = path.read_bytes()
            check_unchanged(path, expected=sha256, actual=sha256_hex(body))
            self.create(key, body)
            return

        _repeat(lambda: create_file_in_parts(self._client, self._bucket, key, path, sha256=sha256), on=StoreConflict)

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        transfer = self._reads_by

        def read() -> bytes:
            if transfer is not None:
                return self._receive(transfer, key)
            with outcomes("read", key):
                return self._object(Key=key)["Body"].read()

        return _repeat(read, on=StreamTorn)

    def get_each(self, keys: Iterable[str]) -> Generator[bytes]:
        """See ObjectStore."""
        transfer = self._transfer
        if transfer is None:
            yield from get_each(self.get, keys)
            return

        def begin(key: str) -> PendingRequest[bytes]:
            begun = transfer.begin_get(self._bucket, key, check=self._check_headers)

            def result() -> bytes:
                try:
                    return begun.result()
                except StreamTorn:
                    return _repeat(lambda: self._receive(transfer, key), on=StreamTorn)

            return PendingRequest(result=result, cancel=begun.cancel)

        for begun in side_by_side(begin, keys):
            yield begun.result()

    def chunks(self, key: str) -> Iterator[bytes]:
        """See ObjectStore. Read range by range: no connection stays open between reads."""
        with outcomes("read", key):
            whole = self._ask(self._client.head_object, Key=key)
            check_object(f"read {key}", whole)

        def read(start: int) -> bytes:
            last = min(start + RANGE_BYTES, whole["ContentLength"]) - 1
            with outcomes("read", key):
                wanted = {"Range": f"bytes={start}-{last}", "IfMatch": whole["ETag"]}
                return self._object(Key=key, **wanted)["Body"].read()

        try:
            yield from in_order(
                lambda start: _repeat(lambda: read(start), on=StreamTorn),
                range(0, whole["ContentLength"], RANGE_BYTES),
            )
        except (ObjectExists, ObjectMissing) as error:  # 412: the ETag is another's
            raise StreamTorn(f"read {key}", "it was replaced or removed in between") from error

    def download(self, key: str, path: Path, *, size: int | None = None) -> str:
        """See ObjectStore."""

        def copy() -> str:
            with removed_on_error(path) as file, hash_of(size) as seen:

                def take(chunk: bytes) -> None:
                    seen.update(chunk)
                    file.write(chunk)

                if self._transfer is not None:
                    self._transfer.receive(self._bucket, key, take, size=size, check=self._check_headers)
                else:
                    for chunk in self._parts_of(key, size) if size and size > PART_BYTES else self._stream(key):
                        take(chunk)
                return seen.hexdigest()

        return _repeat(copy, on=StreamTorn)

    def stat(self, key: str) -> Stored | None:
        """See ObjectStore."""
        try:
            with outcomes("read", key):
                answer = self._ask(self._client.head_object, Key=key)
                check_object(f"read {key}", answer)
        except ObjectMissing:
            return None
        age = (store_time(answer) or self._clock()) - answer["LastModified"]
        return Stored(key=key, bytes=answer["ContentLength"], age=age)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See ObjectStore."""
        for page in self._pages("list_objects_v2", Prefix=prefix, StartAfter=after):
            yield from (found["Key"] for found in page.get("Contents", []))

    def stats(self, prefix: str) -> Iterator[Stored]:
        """See ObjectStore."""
        for page in self._pages("list_objects_v2", Prefix=prefix):
            now = store_time(page) or self._clock()
            for found in page.get("Contents", []):
                yield Stored(key=found["Key"], bytes=found["Size"], age=now - found["LastModified"])

    def delete(self, key: str) -> None:
        """See PrunableStore."""
        with outcomes("delete", key):
            check_deleted(f"delete {key}", self._client.delete_object(Bucket=self._bucket, Key=key))

    def revisions(self, prefix: str) -> Iterator[Revision]:
        """See PrunableStore."""
        for page in self._pages("list_object_versions", Prefix=prefix):
            found = [
                Revision(key=entry["Key"], latest=entry["IsLatest"], deleted=deleted)
                for kind, deleted in (("Versions", False), ("DeleteMarkers", True))
                for entry in page.get(kind, [])
            ]
            # A page lists revisions and deletions apart; together they are ordered by key, the newest first, and so
            # are the pages. https://docs.aws.amazon.com/AmazonS3/latest/userguide/list-obj-version-enabled-bucket.html
            yield from sorted(found, key=lambda revision: (revision.key, not revision.latest))

    def _pages(self, operation: str, **question: str) -> Iterator[Any]:
        paginator: Any = self._client.get_paginator(operation)  # pyright: ignore[reportArgumentType, reportCallIssue]
        remaining = iter(paginator.paginate(Bucket=self._bucket, **question))
        while True:
            with outcomes("list", question["Prefix"]):
                page = next(remaining, None)
            if page is None:
                return
            listed = [found["Key"] for kind in _LISTED for found in page.get(kind, [])]
            action, after = f"list {question['Prefix']}", question.get("StartAfter", "")
            check_listing(action, page, listed, bucket=self._bucket, prefix=question["Prefix"], after=after)
            self._check_clock(page)
            yield page

    def _stored(self, begun: PendingRequest[None], key: str, body: bytes) -> RegistryError | None:
        try:
            begun.result()
        except StoreConflict:
            return outcome_of(lambda: self.create(key, body))
        except RegistryError as error:
            return error
        return None

    def _put(self, key: str, body: bytes) -> None:
        with outcomes("write", key):
            answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")
            check_written(f"write {key}", answer, body)

    def _stream(self, key: str) -> Iterator[bytes]:
        with outcomes("read", key):
            yield from self._object(Key=key)["Body"].iter_chunks(CHUNK_BYTES)

    def _parts_of(self, key: str, size: int) -> Iterator[bytes]:
        """The object in order, its parts requested side by side; the last part has all that is there."""

        def read(start: int) -> bytes:
            last = start + PART_BYTES >= size
            wanted = f"bytes={start}-" if last else f"bytes={start}-{start + PART_BYTES - 1}"
            with outcomes("read", key):
                try:
                    return self._object(Key=key, Range=wanted)["Body"].read()
                except ClientError as error:
                    if error.response.get("Error", {}).get("Code") == BEYOND_ITS_END:
                        return b""  # the object is shorter than it should be, which its hash will show
                    raise

        yield from in_order(read, range(0, size, PART_BYTES))

    def _object(self, **question: str) -> Any:
        """The answer to a request for an object, or a part of one."""
        answer = self._ask(self._client.get_object, **question)
        try:
            check_object(f"read {question['Key']}", answer)
        except ForeignAnswer:
            answer["Body"].close()  # or its connection would stay open with an unread body
            raise
        return answer

    def _receive(self, transfer: Transfer, key: str) -> bytes:
        return transfer.begin_get(self._bucket, key, check=self._check_headers).result()

    def _check_headers(self, headers: Mapping[str, str]) -> None:
        """ClockSkewed by the headers of an answer to the transfer, names in lower case."""
        self._check_clock({"ResponseMetadata": {"HTTPHeaders": headers}})

    def _ask(self, read: Callable[..., Any], **question: str) -> Any:
        """The answer to a reading request; ClockSkewed whatever it is, if the store's clock is not this machine's."""
        try:
            answer = read(Bucket=self._bucket, **question)
        except ClientError as error:
            self._check_clock(error.response)
            raise
        try:
            self._check_clock(answer)
        except (ClockSkewed, ForeignAnswer):
            if "Body" in answer:
                answer["Body"].close()
            raise
        return answer

    def _check_clock(self, answer: Any) -> None:
        """ClockSkewed if this machine's clock and the store's are far apart.

        AWS refuses such requests itself (RequestTimeTooSkewed); the same rule is applied to stores that do not, because
        times go into certificates and logs. Reads are checked, because nothing is written before something is read.
        """
        here, there = self._clock(), store_time(answer)
        if there is not None and abs(here - there) > CLOCK_TOLERANCE:
            raise ClockSkewed(format_time(there), actual=format_time(here))


def _repeat[T](action: Callable[[], T], *, on: type[StoreUnavailable]) -> T:
    """Try again what botocore does not: after a 409, and after a stream that broke off."""
    for pause in PAUSES:
        try:
            return action()
        except on:
            time.sleep(random.uniform(0, pause))  # noqa: S311 — spreads contenders, guards nothing
    return action()
