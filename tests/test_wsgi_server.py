"""The server behind which tests put moto: what a client sends and how, an answer arrives, and connections stay open."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.moto_cloud import MotoCloud
from tests.wsgi_server import LoopbackServer

TIMEOUT_SECONDS = 60


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answers how long the body is that it read; below /unread it does not look at the body."""
    body = b"" if environ["PATH_INFO"] == "/unread" else environ["wsgi.input"].read()
    answer = f"{environ['PATH_INFO']} {len(body)}".encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer]


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(application) as running:
        yield running


class Connection:
    """Bytes as they are, over one connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def status(self) -> str:
        """A status line, and whatever headers follow it."""
        line = self._file.readline().decode().strip()
        self.headers: dict[str, str] = {}
        while header := self._file.readline().decode().strip():
            name, _, value = header.partition(": ")
            self.headers[name.lower()] = value
        return line

    def answer(self) -> str:
        assert self.status() == "HTTP/1.1 200 OK"
        return self._file.read(int(self.headers["content-length"])).decode()

    def read(self, count: int) -> str:
        return self._file.read(count).decode()

    def reset(self) -> None:
        """Break off as a process does that was killed."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self._socket.close()


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: here", *headers, "", ""]).encode()


def test_one_connection_carries_requests_of_every_kind(server: LoopbackServer):
    large = 5_000_000
    with Connection(server.port) as connection:
        connection.send(head("POST", "/read", "Content-Length: 3") + b"abc")
        assert connection.answer() == "/read 3"

        # A body that nobody reads must not pass for the next request, nor end the connection under the client's hands.
        connection.send(head("PUT", "/unread", f"Content-Length: {large}") + bytes(large))
        assert connection.answer() == "/unread 0"

        connection.send(head("PUT", "/chunks", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert connection.answer() == "/chunks 5"

        connection.send(head("PUT", "/waits", "Content-Length: 4", "Expect: 100-continue"))
        assert connection.status() == "HTTP/1.1 100 Continue"
        connection.send(b"late")
        assert connection.answer() == "/waits 4"

        connection.send(head("HEAD", "/head"))
        assert connection.status() == "HTTP/1.1 200 OK"
        assert connection.headers["content-length"] == "7"

        connection.send(head("GET", "/a%2Fb") + head("GET", "/next"))
        assert (connection.answer(), connection.answer()) == ("/a/b 0", "/next 0")


def test_an_answer_cut_short_ends_with_its_connection():
    def torn(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "10")])
        return [b"half"]

    with LoopbackServer(torn, threads=1) as server, Connection(server.port) as connection:
        connection.send(head("GET", "/"))
        assert connection.answer() == "half"


def test_a_connection_that_sends_nothing_takes_no_thread_from_the_others():
    with (
        LoopbackServer(application, threads=1) as server,
        Connection(server.port),
        Connection(server.port) as connection,
    ):
        connection.send(head("GET", "/first"))
        assert connection.answer() == "/first 0"
        with Connection(server.port):
            connection.send(head("GET", "/second"))
            assert connection.answer() == "/second 0"


def test_a_client_that_asks_twice_or_does_not_wait_is_named_in_the_log(caplog: pytest.LogCaptureFixture):
    entered, gone, logged = threading.Event(), threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        if environ["PATH_INFO"] == "/slow":
            entered.set()
            assert gone.wait(TIMEOUT_SECONDS)
        return [b"ok"]

    class Lost(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "its answer is lost" in record.getMessage():
                logged.set()

    attempt = ("Content-Length: 0", "X-Amz-Target: AmazonSSM.PutParameter", "amz-sdk-invocation-id: 1f3a")
    log, lost = logging.getLogger("loopback"), Lost()
    log.addHandler(lost)
    try:
        with LoopbackServer(slow) as server:
            dropped = Connection(server.port)
            dropped.send(head("POST", "/slow", *attempt, "amz-sdk-request: attempt=1; max=5"))
            assert entered.wait(TIMEOUT_SECONDS)
            dropped.reset()
            gone.set()
            assert logged.wait(TIMEOUT_SECONDS)
            with Connection(server.port) as again:
                again.send(head("POST", "/", *attempt, "amz-sdk-request: attempt=2; max=5"))
                assert again.answer() == "ok"
    finally:
        log.removeHandler(lost)
    first, second = (record.getMessage() for record in caplog.records if record.name == "loopback")
    assert "POST /slow AmazonSSM.PutParameter [attempt=1; max=5] call 1f3a: the client has gone" in first
    assert "POST / AmazonSSM.PutParameter [attempt=2; max=5] call 1f3a ASKED AGAIN: 200 OK after" in second


def test_a_call_that_is_sent_again_gets_the_response_of_the_attempt_that_succeeded_and_a_refused_one_is_made_anew():
    statuses = iter(["503 Slow Down", "200 OK", "409 Conflict", "409 Conflict"])

    def once(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        status = next(statuses)
        start_response(status, [("Content-Length", "2")])
        return [status[:2].encode()]

    def sent(connection: Connection, call: str, attempt: int) -> str:
        lines = ("Content-Length: 0", f"amz-sdk-invocation-id: {call}", f"amz-sdk-request: attempt={attempt}; max=5")
        connection.send(head("POST", "/", *lines))
        return connection.status() + connection.read(2)

    with LoopbackServer(once, replay=True) as server, Connection(server.port) as connection:
        assert sent(connection, "one", 1) == "HTTP/1.1 503 Slow Down50"
        assert sent(connection, "one", 2) == "HTTP/1.1 200 OK20"
        assert sent(connection, "one", 3) == "HTTP/1.1 200 OK20"
        assert sent(connection, "two", 1) == "HTTP/1.1 409 Conflict40"
        assert sent(connection, "two", 2) == "HTTP/1.1 409 Conflict40"


def test_moto_keeps_odd_keys_large_objects_and_spelling_apart_and_is_there_again_after_it_went_away():
    with MotoCloud() as cloud:
        bucket = cloud.make_bucket("odd-keys")
        s3 = cloud.client("s3")
        keys = ["a b", "a/b//c", "a%2Fb", "ü+&=?#", " /~", "x" * 900, "dots/../up", "t\tab"]
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"my_key": "low", "my-key": "dash"})
        cloud.off()
        cloud.on()
        for key in keys:
            found = s3.get_object(Bucket=bucket, Key=key)
            assert found["Body"].read() == key.encode()
        assert sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]) == sorted(keys)

        # A body without a length before it, as a stream has.
        content = bytes(range(256)) * 40_000
        s3.put_object(Bucket=bucket, Key="large", Body=content)
        assert s3.head_object(Bucket=bucket, Key="large")["ContentLength"] == len(content)
        assert s3.get_object(Bucket=bucket, Key="large", Range="bytes=256-511")["Body"].read() == content[256:512]


def test_moto_tells_regions_and_services_apart_while_many_ask(caplog: pytest.LogCaptureFixture):
    regions = ("eu-west-1", "us-east-1", "ap-south-1")

    def work(url: str, region: str) -> tuple[list[str], str]:
        session: Any = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=region)
        once = Config(retries={"total_max_attempts": 1})
        with (
            closing(session.client("ssm", endpoint_url=url, config=once)) as ssm,
            closing(session.client("sqs", endpoint_url=url, config=once)) as sqs,
        ):
            queue = sqs.create_queue(QueueName="queue")["QueueUrl"]
            for number in range(5):
                ssm.put_parameter(Name=f"/of/{region}/{number}", Value=region, Type="String")
            found = ssm.get_parameters_by_path(Path="/of", Recursive=True)["Parameters"]
            about = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
        return sorted(parameter["Name"] for parameter in found), about["QueueArn"].split(":")[3]

    with MotoCloud() as cloud, ThreadPoolExecutor(len(regions)) as pool:
        told = list(pool.map(work, [cloud.url] * len(regions), regions))
    assert told == [([f"/of/{region}/{number}" for number in range(5)], region) for region in regions]
    assert not any("ASKED AGAIN" in record.getMessage() for record in caplog.records)
