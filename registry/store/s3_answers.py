"""Whether an answer comes from an S3 store, and not from a captive portal, a proxy or a cache.

It checks what every S3 store sends: an ETag with an object, the bucket's name and the prefix with a
listing, a code in the document of an error. docs/design/decisions.md, "Foreign answers".
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html
"""

import base64
import re
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from registry.errors import ForeignAnswer, StreamTorn

_ETAG = re.compile(r'(W/)?"[^"]*"')


def check_object(action: str, answer: Mapping[str, Any]) -> None:
    """ForeignAnswer unless it describes an object: an ETag and, of an existing one, its length and time."""
    _check_etag(action, answer.get("ETag"))
    for name in ("ContentLength", "LastModified"):
        if name not in answer:
            raise ForeignAnswer(action, f"an answer without {name}")


def check_written(action: str, answer: Mapping[str, Any], body: bytes | None = None) -> None:
    """ForeignAnswer unless it confirms that an object, or a part of one, was stored; with `body`, also these bytes."""
    _check_etag(action, answer.get("ETag"))
    stored = answer.get("ChecksumCRC32")
    if body is not None and stored is not None:
        sent = _crc32(body)
        if stored != sent:
            raise ForeignAnswer(action, f"checksum {stored} of the stored bytes, but {sent} of the sent bytes")


def check_headers(action: str, headers: Mapping[str, str]) -> None:
    """The same by the headers alone, names in lower case."""
    _check_etag(action, headers.get("etag"))


def check_body(action: str, headers: Mapping[str, str], body: bytes) -> None:
    """StreamTorn unless these are the bytes whose CRC-32 is among the headers; petpark writes every object with one.

    One of an object that was sent in parts ends with their number, and is not of these bytes.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
    """
    stored = headers.get("x-amz-checksum-crc32", "")
    if stored and "-" not in stored and stored != _crc32(body):
        raise StreamTorn(action, f"bytes with checksum {_crc32(body)}, but the store has {stored}")


def check_deleted(action: str, answer: Mapping[str, Any]) -> None:
    """ForeignAnswer unless it is S3's answer to a deletion: 204."""
    status = answer["ResponseMetadata"].get("HTTPStatusCode")
    if status != HTTPStatus.NO_CONTENT:
        raise ForeignAnswer(action, f"status {status}, but S3 answers 204")


def check_listing(
    action: str, page: Mapping[str, Any], keys: Iterable[str], *, bucket: str, prefix: str, after: str = ""
) -> None:
    """ForeignAnswer unless it lists this bucket and this prefix."""
    if page.get("Name") != bucket or page.get("Prefix", "") != prefix:
        found = f"one of {page.get('Prefix', '')!r} in bucket {page.get('Name')!r}"
        raise ForeignAnswer(action, f"no listing of {prefix!r} in bucket {bucket!r}, but {found}")
    other = next((key for key in keys if not key.startswith(prefix) or key <= after), None)
    if other is not None:
        raise ForeignAnswer(action, f"key {other!r} in a listing of what begins with {prefix!r} behind {after!r}")


def store_time(answer: Mapping[str, Any]) -> datetime | None:
    """When the store answered, by its own clock; None without a date. ForeignAnswer for an unreadable one."""
    date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    if not date:
        return None
    try:
        moment = parsedate_to_datetime(date)
    except ValueError as error:
        raise ForeignAnswer("read the time", f"Date: {date!r:.80}, which is not a date") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # "-0000" is a time without a zone


def _crc32(body: bytes) -> str:
    """As S3 writes it."""
    return base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()


def _check_etag(action: str, etag: object) -> None:
    if not isinstance(etag, str) or not _ETAG.fullmatch(etag):
        raise ForeignAnswer(action, "an answer without an ETag" if etag is None else f"ETag {etag!r:.80}")
