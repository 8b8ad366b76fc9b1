"""One file over HTTP: resumed after a broken connection, checked against its hash, complete or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from petpark.downloads.errors import ArchiveMissing, ArchiveRefused, FolderNotWritable, NoSpace, PublisherUnreachable
from petpark.downloads.progress import Report
from petpark.errors import InstallFailed
from petpark.failures.failure import FULL

_WHOLE, _PART, _BEYOND = 200, 206, 416  # RFC 9110, 15.3.1, 15.3.7 and 15.5.17
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")
_NUMBER = re.compile("[0-9]{1,15}")
_RANGE = re.compile(r"bytes (?P<first>[0-9]{1,15})-(?P<last>[0-9]{1,15})/(?P<total>[0-9]{1,15})")


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long a download may take; times in seconds.

    `idle` is how many attempts in a row may bring no new byte, `unconnected` the same where no connection came about
    (an offline machine fails soon), `attempts` how many there may be in all.
    """

    connect: float = 10.0
    read: float = 30.0
    idle: int = 5
    unconnected: int = 3
    attempts: int = 60
    seconds: float = 3600.0
    pause: Callable[[float], None] = time.sleep


def open_client(timeouts: Timeouts) -> httpx.Client:
    """A client that respects `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` and `SSL_CERT_FILE`; loopback needs no proxy.

    Certificates of the system count as well as certifi's, because a company's own authority is in the system's.
    Raises `PublisherUnreachable` for a proxy or certificates that cannot be used.
    """
    try:
        trusted = httpx.create_ssl_context()
        trusted.load_default_certs()
    except OSError as error:
        raise PublisherUnreachable(
            f"The certificates in SSL_CERT_FILE or SSL_CERT_DIR cannot be read: {error}",
            next_step="Correct the variable, or unset it.",
        ) from error
    try:
        return httpx.Client(
            follow_redirects=True,
            timeout=httpx.Timeout(timeouts.read, connect=timeouts.connect),
            verify=trusted,
            mounts=dict.fromkeys(_LOOPBACK),
        )
    except (ValueError, ImportError) as error:  # an unknown scheme, or SOCKS, which httpx needs another package for
        raise PublisherUnreachable(
            f"The proxy from the environment cannot be used: {error}",
            next_step="Correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY; it must be an HTTP proxy.",
        ) from error


def fetch(
    url: str,
    target: Path,
    *,
    accepted: frozenset[str] | None,
    limit: int,
    report: Report,
    timeouts: Timeouts | None = None,
    client: httpx.Client | None = None,
) -> str:
    """Make `target` the file at `url`, if its SHA-256 is one of `accepted` (None: any), and return its SHA-256.

    A file that is there already is used if it has such a hash. What a broken download left is continued with `Range`
    and `If-Range` (RFC 9110, 13.1.5 and 14.2). `limit` is the greatest size in bytes; without a `client` one is opened
    by `open_client`. Raises `PublisherUnreachable`, `ArchiveMissing`, `ArchiveRefused`, `NoSpace` or
    `FolderNotWritable`; then `target` does not exist.
    """
    timeouts = timeouts or Timeouts()
    part = _Part(target)
    download = _Download(url, part, limit=limit, report=report, timeouts=timeouts)
    try:
        if target.exists():
            if accepted is not None and (digest := _sha256(target)) in accepted:
                return digest
            target.unlink()
        with contextlib.nullcontext(client) if client else open_client(timeouts) as opened:
            resumed = part.size > 0
            download.run(opened)
            digest = _sha256(part.file)
            if accepted is not None and digest not in accepted and resumed:
                part.discard()  # the resumed part may be the cause: try once more from the start
                download.run(opened)
                digest = _sha256(part.file)
        if accepted is not None and digest not in accepted:
            part.discard()
            raise ArchiveRefused(
                f"{shown_url(url)} has the SHA-256 {digest}, which is not a pinned one; it was deleted.",
                next_step="A proxy or mirror may change files: download from the publisher or another mirror.",
            )
        part.complete()
    except OSError as error:
        with contextlib.suppress(OSError):
            part.discard()
        raise unwritable(f"{target.name} could not be written", error, target.parent) from error
    return digest


def unwritable(what: str, error: OSError, folder: Path) -> InstallFailed:
    """Returns for an error in `folder` whether the disk is full, or an existing file is in the way."""
    if error.errno in FULL:
        return NoSpace(f"{what}: {error}.", next_step="Make space on this disk, then run it again.")
    return FolderNotWritable(f"{what}: {error}.", next_step=f"Remove {folder}, as its owner, then run it again.")


def shown_url(url: str) -> str:
    """`url` without what may be secret in it: name, password, and a query, which may contain a signature."""
    return re.sub(r"//.*@", "//", url.partition("?")[0], flags=re.DOTALL) if "@" in url or "?" in url else url


class _Part:
    """The part of a download that is on disk, and which version of which file it belongs to."""

    def __init__(self, target: Path) -> None:
        self.file = target.with_name(f"{target.name}.part")
        self._source = target.with_name(f"{target.name}.part.json")
        self._target = target

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def validator(self, url: str) -> str | None:
        """The `If-Range` value with which the download of `url` can resume; None if it must start again."""
        try:
            source = json.loads(self._source.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        same = isinstance(source, dict) and source.get("url") == url and self.size > 0
        return source.get("validator") if same else None

    def begin(self, url: str, validator: str | None) -> None:
        """Discard the part, and record what is downloaded now."""
        self.discard()
        self._source.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")

    def discard(self) -> None:
        self.file.unlink(missing_ok=True)
        self._source.unlink(missing_ok=True)

    def complete(self) -> None:
        """Rename the file to its final name, once it is synced to disk."""
        with self.file.open("rb") as file:
            os.fsync(file.fileno())
        self.file.replace(self._target)
        self._source.unlink(missing_ok=True)
        sync_folder(self._target.parent)


class _Broken(Exception):
    """An answer that is worth another attempt, after `wait` seconds if the server named a time."""

    def __init__(self, why: str, *, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class _Download:
    """Attempts at one file until it is complete."""

    def __init__(self, url: str, part: _Part, *, limit: int, report: Report, timeouts: Timeouts) -> None:
        self._url = url
        self._part = part
        self._limit = limit
        self._report = report
        self._timeouts = timeouts

    def run(self, client: httpx.Client) -> None:
        """Returns when all bytes are there; raises `PublisherUnreachable` when that takes too many attempts."""
        timeouts = self._timeouts
        deadline = time.monotonic() + timeouts.seconds
        idle = 0
        why: Exception | None = None
        for _ in range(timeouts.attempts):
            before = self._part.size
            try:
                return self._attempt(client, deadline)
            except (httpx.TransportError, httpx.TooManyRedirects, _Broken) as error:
                why = error
            idle = 0 if self._part.size > before else idle + 1
            unconnected = isinstance(why, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
            if _hopeless(why) or idle >= (timeouts.unconnected if unconnected else timeouts.idle):
                break
            if time.monotonic() > deadline:
                break
            timeouts.pause(max(getattr(why, "wait", 0.0), random.uniform(0.5, 1.0) * 2**idle))  # noqa: S311 - spreads waits
        raise self._unreachable(why)

    def _attempt(self, client: httpx.Client, deadline: float) -> None:
        have, validator = self._part.size, self._part.validator(self._url)
        headers = {"accept-encoding": "identity"}
        if validator:
            headers |= {"range": f"bytes={have}-", "if-range": validator}
        try:
            with client.stream("GET", self._url, headers=headers) as answer:
                self._refuse_downgrade(answer)
                total = self._total(answer, have)
                if total is not None and total > self._limit:
                    raise self._too_large()
                if answer.status_code != _BEYOND:
                    self._take(answer, total, deadline)
        except httpx.InvalidURL:
            raise ArchiveMissing(
                f"{shown_url(self._url)} is not an address.", next_step=_CHECK_MIRROR
            ) from None  # httpx quotes what it takes for a port, which may be a password's beginning
        if total is not None and self._part.size != total:
            raise _Broken(f"{self._part.size} of {total} bytes arrived")

    def _total(self, answer: httpx.Response, have: int) -> int | None:
        """The size of the whole file, if the answer has it; the part on disk is ready for the next bytes."""
        status = answer.status_code
        if status == _PART:
            ranged = _RANGE.fullmatch(answer.headers.get("content-range", ""))
            if ranged is None or int(ranged["first"]) != have:
                self._part.discard()
                raise _Broken("the server sent another range than requested")
            return int(ranged["total"])
        if status == _BEYOND:
            if have and answer.headers.get("content-range", "") == f"bytes */{have}":
                return have  # complete, but not yet checked when the last attempt ended
            self._part.discard()
            raise _Broken("the file is now smaller than the part that is here")
        if status in _TRANSIENT:
            raise _Broken(f"the server answered {status}", wait=_retry_after(answer))
        if status != _WHOLE:
            raise ArchiveMissing(
                f"{shown_url(str(answer.url))} answered {status} {answer.reason_phrase}.", next_step=_CHECK_MIRROR
            )
        self._part.begin(self._url, _strong(answer))
        length = answer.headers.get("content-length", "")
        return int(length) if _NUMBER.fullmatch(length) else None

    def _take(self, answer: httpx.Response, total: int | None, deadline: float) -> None:
        done = self._part.size
        with self._part.file.open("ab") as file:
            for chunk in answer.iter_raw():
                done += len(chunk)
                if done > self._limit:
                    raise self._too_large()
                file.write(chunk)
                self._report(done, total)
                if time.monotonic() > deadline:
                    raise _Broken(f"it took more than {self._timeouts.seconds:.0f} s")

    def _refuse_downgrade(self, answer: httpx.Response) -> None:
        if answer.history and self._url.startswith("https:") and answer.url.scheme != "https":
            raise ArchiveMissing(
                f"{shown_url(self._url)} redirects to {answer.url.host} without TLS.", next_step=_CHECK_MIRROR
            )

    def _too_large(self) -> ArchiveRefused:
        self._part.discard()
        return ArchiveRefused(
            f"{shown_url(self._url)} is larger than {self._limit} bytes, so it is not the archive; it was deleted.",
            next_step=_CHECK_MIRROR,
        )

    def _unreachable(self, why: Exception | None) -> PublisherUnreachable:
        host = httpx.URL(self._url).host
        reason = str(why) or type(why).__name__
        ways = (
            "Allow access to it (HTTPS_PROXY and NO_PROXY are respected), or run it on a machine with internet access."
        )
        if isinstance(why, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in reason:
            ways = "If a company proxy intercepts TLS, name its certificate authority: SSL_CERT_FILE=/path/to/ca.pem"
        return PublisherUnreachable(f"{host} cannot be reached ({reason})", next_step=ways)


_CHECK_MIRROR = (
    "Check the address of the mirror, if one is configured; otherwise the publisher may have moved the file."
)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hopeless(error: Exception | None) -> bool:
    """Whether another attempt cannot have another result."""
    return isinstance(error, httpx.UnsupportedProtocol | httpx.TooManyRedirects) or (
        isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
    )


def _strong(answer: httpx.Response) -> str | None:
    """What identifies this version of the file; a weak ETag may not be used for a range (RFC 9110, 13.1.5)."""
    tag = answer.headers.get("etag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("last-modified")


def _retry_after(answer: httpx.Response) -> float:
    delay = answer.headers.get("retry-after", "")
    return min(float(delay), 60.0) if _NUMBER.fullmatch(delay) else 0.0


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
