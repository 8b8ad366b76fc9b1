"""Objects sent and received by AWS's own transfer library in C (`awscrt`), which spends less on each than botocore.

The library signs, splits large objects into parallel parts, retries, and checks CRC-32 on the way; `If-None-Match: *`
goes with the one request that makes the object appear. What it does not do is left to botocore: listings, and reads of
single small objects unless `S3Store` overrides it (`transfer_reads`). `benchmarks/registry/publish_and_fetch.py`
compares both with petpark, `benchmarks/registry/clients.py` and `fetch_floor.py` have what each costs. Large objects
are written by our own code and not by the library (`recv_filepath`): it puts the parts into the file in any order, so
that a hash could only begin when the last is there.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-s3-crt.html
"""

import contextlib
import io
import math
import os
import re
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import TimeoutError as Overdue
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from awscrt.auth import AwsCredentials, AwsCredentialsProvider
from awscrt.exceptions import AwsCrtError
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.s3 import (
    S3ChecksumAlgorithm,
    S3ChecksumConfig,
    S3ChecksumLocation,
    S3Client,
    S3RequestTlsMode,
    S3RequestType,
    S3ResponseError,
    S3RetryConfig,
    create_default_s3_signing_config,
)

from registry.errors import ForeignAnswer, StoreRefused, StoreUnavailable
from registry.store.s3_answers import check_body, check_headers
from registry.store.s3_outcomes import outcome, outcomes
from registry.store.transfer import PendingRequest

if TYPE_CHECKING:
    import boto3
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3 import S3Client as BotoClient

PART_BYTES = 8 * 1024 * 1024
PARTS_FROM_BYTES = 16 * 1024 * 1024
"""Objects above this size go in parts."""

RETRIES = 4
BACKOFF_MILLISECONDS = 100
CONNECT_MILLISECONDS = 3_000
TIMEOUT_SECONDS = 60.0
SLOWEST_BYTES_PER_SECOND = 250_000
"""The budget of one transfer: a minute, and as long as its bytes take at this pace. A stalled one ends sooner."""

type Headers = dict[str, str]
"""Of a response, names in lower case."""


class CrtTransfer:
    """Sends and receives objects with the credentials of `session`, where `client` points to.

    The library's own threads start with the first transfer.
    """

    def __init__(self, session: "boto3.Session", client: "BotoClient") -> None:
        endpoint = urlsplit(client.meta.endpoint_url)
        self._session = session
        self._credentials: AwsCredentials | None = None
        self._frozen: ReadOnlyCredentials | None = None
        """The source of `_credentials`."""
        self._secure = endpoint.scheme == "https"
        self._host = endpoint.netloc
        self._region = client.meta.region_name
        settings: Any = client.meta.config
        in_path = (settings.s3 or {}).get("addressing_style") == "path"
        self._in_path = in_path or ".amazonaws.com" not in self._host

    def create(self, bucket: str, key: str, body: bytes) -> None:
        """Store `body` unless the key is taken: ObjectExists, StoreConflict, StoreUnavailable, StoreRefused."""
        self.begin_create(bucket, key, body).result()

    def begin_create(self, bucket: str, key: str, body: bytes) -> PendingRequest[None]:
        """Begin to store `body` unless the key is taken; `result` raises what `create` raises."""
        request = self._request("PUT", bucket, key, io.BytesIO(body))
        request.headers.add("Content-Length", str(len(body)))
        request.headers.add("If-None-Match", "*")
        seen: Headers = {}
        checks = S3ChecksumConfig(algorithm=S3ChecksumAlgorithm.CRC32, location=S3ChecksumLocation.HEADER)
        return self._begin(
            "write",
            key,
            len(body),
            request,
            lambda: check_headers(f"write {key}", seen),
            type=S3RequestType.PUT_OBJECT,
            checksum_config=checks,
            on_headers=_recording(seen),
        )

    def receive(
        self,
        bucket: str,
        key: str,
        take: Callable[[bytes], object],
        *,
        size: int | None,
        check: Callable[[Mapping[str, str]], None],
    ) -> None:
        """Pass the object's bytes to `take`, in order, from another thread; requested by ranges.

        `check` gets the headers of the response, also of one that is an error, and may raise. ObjectMissing,
        StoreUnavailable, StoreRefused; then what `take` got is to be thrown away.
        """
        seen: Headers = {}
        failed: list[BaseException] = []

        def on_body(*, chunk: bytes, **_: object) -> None:
            if failed:
                return
            try:
                take(chunk)
            except BaseException as error:  # noqa: BLE001  raised where the caller waits: this is the library's thread
                failed.append(error)

        def finish() -> None:
            if failed:
                raise failed[0]
            check_headers(f"read {key}", seen)
            check(seen)

        self._begin(
            "read",
            key,
            size or PARTS_FROM_BYTES,
            self._request("GET", bucket, key),
            finish,
            check,
            type=S3RequestType.GET_OBJECT,
            on_headers=_recording(seen),
            on_body=on_body,
        ).result()

    def begin_get(self, bucket: str, key: str, *, check: Callable[[Mapping[str, str]], None]) -> PendingRequest[bytes]:
        """Begin to read a small object; `result` returns its bytes, compared with the checksum that the store keeps.

        Raises what `receive` raises, and StreamTorn.
        """
        seen: Headers = {}
        chunks: list[bytes] = []

        def finish() -> bytes:
            check_headers(f"read {key}", seen)
            check(seen)
            body = b"".join(chunks)
            check_body(f"read {key}", seen, body)
            return body

        def on_body(*, chunk: bytes, **_: object) -> None:
            chunks.append(chunk)

        request = self._request("GET", bucket, key)
        request.headers.add("x-amz-checksum-mode", "ENABLED")  # S3 has no checksums of ranges
        return self._begin(
            "read",
            key,
            PARTS_FROM_BYTES,
            request,
            finish,
            check,
            type=S3RequestType.DEFAULT,
            operation_name="GetObject",
            on_headers=_recording(seen),
            on_body=on_body,
        )

    def _begin[T](
        self,
        action: str,
        key: str,
        size: int,
        request: HttpRequest,
        finish: Callable[[], T],
        check: Callable[[Mapping[str, str]], None] = lambda _: None,
        **how: Any,
    ) -> PendingRequest[T]:
        with _outcomes(action, key):
            self._refresh_credentials()
            transfer = self._client.make_request(request=request, **how)
        seconds = TIMEOUT_SECONDS + size / SLOWEST_BYTES_PER_SECOND

        def result() -> T:
            with _outcomes(action, key, check):
                try:
                    transfer.finished_future.result(seconds)
                except Overdue:
                    transfer.cancel()
                    raise StoreUnavailable(f"{action} {key}", f"not completed within {math.ceil(seconds)} s") from None
            return finish()

        return PendingRequest(result=result, cancel=transfer.cancel)

    def _request(self, method: str, bucket: str, key: str, body: io.BytesIO | None = None) -> HttpRequest:
        path = quote(key, safe="/-_.~")
        host, path = (self._host, f"/{bucket}/{path}") if self._in_path else (f"{bucket}.{self._host}", f"/{path}")
        return HttpRequest(method, path, HttpHeaders([("Host", host)]), body)

    @cached_property
    def _client(self) -> S3Client:
        credentials = AwsCredentialsProvider.new_delegate(self._current)
        return S3Client(
            region=self._region,
            tls_mode=S3RequestTlsMode.ENABLED if self._secure else S3RequestTlsMode.DISABLED,
            signing_config=create_default_s3_signing_config(region=self._region, credential_provider=credentials),
            part_size=PART_BYTES,
            multipart_upload_threshold=PARTS_FROM_BYTES,
            retry_config=S3RetryConfig(max_retries=RETRIES, backoff_scale_factor_ms=BACKOFF_MILLISECONDS),
            connect_timeout_ms=CONNECT_MILLISECONDS,
        )

    def _current(self) -> AwsCredentials | None:
        """Credentials for one request of a transfer, which may take longer than a role's session.

        The library calls it in threads whose errors are lost: if renewal fails, the store refuses the expired
        credentials.
        """
        with contextlib.suppress(Exception):
            self._refresh_credentials()
        return self._credentials

    def _refresh_credentials(self) -> None:
        """Renew what is about to expire; errors are raised to the caller of the transfer."""
        found = self._session.get_credentials()
        if found is None:
            raise StoreRefused("sign a request", "no AWS credentials")
        frozen = found.get_frozen_credentials()
        if frozen != self._frozen:
            self._credentials = AwsCredentials(frozen.access_key, frozen.secret_key, frozen.token)
            self._frozen = frozen


def crt_transfer(session: "boto3.Session", client: "BotoClient") -> CrtTransfer | None:
    """The transfer for what `client` points to; None if botocore's way there is not the library's.

    The library knows neither proxies that the environment names, nor certificate authorities of a company's own.
    """
    endpoint = urlsplit(client.meta.endpoint_url)
    proxied = endpoint.scheme in getproxies() and not proxy_bypass(endpoint.hostname or "")
    trusted = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
    return None if proxied or (trusted and endpoint.scheme == "https") else CrtTransfer(session, client)


def _recording(seen: Headers) -> Callable[..., None]:
    def on_headers(*, headers: list[tuple[str, str]], **_: object) -> None:
        seen.update({name.lower(): value for name, value in headers})

    return on_headers


@contextlib.contextmanager
def _outcomes(action: str, key: str, check: Callable[[Mapping[str, str]], None] = lambda _: None) -> Generator[None]:
    """Turn the library's exceptions into ours, and botocore's, which knows the credentials.

    Anyone who answers in the store's place sends no document with an error code. S3 does, but for HEAD.
    """
    try:
        with outcomes(action, key):
            yield
    except S3ResponseError as error:
        body = (error.body or b"").decode("utf-8", "replace")
        code = re.search(r"<Code>(\w+)</Code>", body)
        status = int(cast("int", error.status_code))
        if code is None and status < HTTPStatus.INTERNAL_SERVER_ERROR and error.operation_name != "HeadObject":
            raise ForeignAnswer(f"{action} {key}", f"status {status} without S3's document") from error
        check({name.lower(): value for name, value in error.headers or []})
        raise outcome(
            f"{action} {key}",
            key,
            code=code[1] if code else "",
            status=status,
            message=body or str(error),
        ) from error
    except AwsCrtError as error:
        raise StoreUnavailable(f"{action} {key}", f"{error.name}: {error.message}") from error
