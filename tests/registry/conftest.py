"""Stores to test against: memory, and S3 over loopback with injected faults."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from registry.store.crt_transfer import CrtTransfer
from registry.store.memory_store import MemoryStore
from registry.store.object_store import PrunableStore
from registry.store.s3_client import s3_client
from registry.store.s3_store import S3Store
from tests.moto_cloud import REGION, moto_application
from tests.wsgi_server import LoopbackServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(kw_only=True)
class S3Fault:
    """What happens to the next `times` requests of that kind."""

    method: str
    status: str = "503 Slow Down"
    code: str = "SlowDown"
    applied: bool = False  # the request takes effect, only its answer is lost
    torn: bool = False  # the answer is right, but ends in the middle
    times: int = 1
    query: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What something else says."""

    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html"),)
    body: bytes = b"<html><body>Please sign in to the park's network.<br></body></html>"


def _no_answer(_: dict[str, Any]) -> Answer | None:
    return None


def asked(app: Any, environ: dict[str, Any]) -> Answer:
    """What the store itself would say."""
    told: list[Any] = []
    body = b"".join(app(environ, lambda status, headers, *_: told.extend((status, headers))))
    status, headers = told
    return Answer(status=status, headers=tuple(h for h in headers if h[0].lower() != "content-length"), body=body)


@dataclass
class S3Server:
    """moto behind HTTP, one request at a time (moto itself checks and writes in two steps), with faults on request."""

    url: str = ""
    faults: list[S3Fault] = field(default_factory=list[S3Fault])
    requests: list[tuple[str, str, str | None]] = field(default_factory=list[tuple[str, str, str | None]])
    app: Any = None
    instead: "Callable[[dict[str, Any]], Answer | None]" = _no_answer
    """What answers in the store's place, request by request; None lets it through."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        self.requests.append((method, query, environ.get("HTTP_IF_NONE_MATCH")))
        if (answer := self.instead(environ)) is not None:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(answer.status, [*answer.headers, ("Content-Length", str(len(answer.body)))])
            return [] if method == "HEAD" else [answer.body]
        fault = next((f for f in self.faults if f.times and f.method == method and f.query in query), None)
        if fault is None:
            return self.app(environ, start_response)
        fault.times -= 1
        if fault.torn:
            body = b"".join(self.app(environ, start_response))
            return [body[: len(body) // 2]]
        if fault.applied:
            list(self.app(environ, lambda *_: None))
        else:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answer = f"<Error><Code>{fault.code}</Code><Message>on request</Message></Error>".encode()
        start_response(fault.status, [("Content-Type", "application/xml"), ("Content-Length", str(len(answer)))])
        return [answer]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    server = S3Server(app=moto_application())
    with LoopbackServer(server, threads=1) as http:
        server.url = http.url
        yield server


@pytest.fixture(scope="session")
def s3(s3_server: S3Server) -> "Iterator[S3Client]":
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_CONFIG_FILE", "/dev/null")
        client = s3_client(s3_server.url, REGION)
        yield client
        client.close()


@pytest.fixture
def requests_seen(s3_server: S3Server) -> list[tuple[str, str, str | None]]:
    """Method, query and `If-None-Match` of every request from here on."""
    s3_server.requests.clear()
    return s3_server.requests


@pytest.fixture
def fault(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`fault("PUT", times=2)` makes the next two PUTs fail, as S3Fault describes; retries do not wait here."""
    monkeypatch.setattr("registry.store.s3_store.PAUSES", (0.0,) * 3)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    yield lambda method, **how: s3_server.faults.append(S3Fault(method=method, **how))
    s3_server.faults.clear()


_buckets = itertools.count(1)


@pytest.fixture(scope="session")
def new_s3_store(s3: "S3Client") -> Callable[[], S3Store]:
    """Makes an S3Store in a fresh bucket."""

    def make() -> S3Store:
        bucket = f"model-store-{next(_buckets)}"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return S3Store(s3, bucket)

    return make


@pytest.fixture(scope="session")
def new_crt_store(s3: "S3Client", new_s3_store: Callable[[], S3Store]) -> Callable[[], S3Store]:
    """Makes an S3Store in a fresh bucket that sends and downloads by AWS's transfer library."""
    transfer = CrtTransfer(boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing"), s3)
    return lambda: S3Store(s3, new_s3_store()._bucket, transfer=transfer)


@pytest.fixture
def s3_store(new_s3_store: Callable[[], S3Store]) -> S3Store:
    return new_s3_store()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run over memory; over S3 the same tests run in `tests/rehearsal/registry`, or here where a module says so."""
    if "new_store" in metafunc.fixturenames and not hasattr(metafunc.module, "new_store"):
        metafunc.parametrize("new_store", getattr(metafunc.module, "STORES", ("memory",)), indirect=True)


@pytest.fixture
def new_store(request: pytest.FixtureRequest) -> Callable[[], PrunableStore]:
    """Makes a fresh, empty store."""
    return MemoryStore if request.param == "memory" else request.getfixturevalue("new_s3_store")


@pytest.fixture
def store(new_store: Callable[[], PrunableStore]) -> PrunableStore:
    return new_store()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """What a small version consists of: two names share their content."""
    contents = {
        "model.onnx": b"graph",
        "labels.json": b'["cat","dog"]',
        "probes/0.jpg": b"jpeg",
        "probes/1.jpg": b"jpeg",
    }
    folder = tmp_path / "trained"
    (folder / "probes").mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}
