"""A machine that will be taken away says so by SIGTERM or through its metadata service."""

import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from training.interruption import NOTICE_PATH, Interruption, spot_notice

NOWHERE = "http://127.0.0.1:9"


class Metadata(ThreadingHTTPServer):
    """An instance metadata service that insists on a token, as IMDSv2 does."""

    notice: bytes | None = None
    asked = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Metadata  # pyright: ignore[reportIncompatibleVariableOverride] - as the standard library types it

    def do_PUT(self) -> None:
        self._answer(200 if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else 400, b"token")

    def do_GET(self) -> None:
        self.server.asked.set()
        if self.headers["X-aws-ec2-metadata-token"] != "token" or self.path != NOTICE_PATH:
            self._answer(401, b"")
        elif self.server.notice is None:
            self._answer(404, b"")
        else:
            self._answer(200, self.server.notice)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    with Metadata(("127.0.0.1", 0), Handler) as server:
        server.asked = threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url(server: Metadata) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_sigterm_is_a_notice_and_the_former_handler_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with Interruption(NOWHERE) as interruption:
        assert not interruption.noticed()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.wait(10)
        assert interruption.reason == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_spot_notice_is_noticed(metadata: Metadata):
    with Interruption(url(metadata), poll_seconds=0.01) as interruption:
        assert metadata.asked.wait(10)
        assert not interruption.noticed()
        metadata.notice = b'{"action": "terminate", "time": "2026-03-01T21:04:05Z"}'
        assert interruption.wait(10)
        assert interruption.reason == "spot notice: terminate"


def test_without_a_notice_the_service_says_none(metadata: Metadata):
    assert spot_notice(url(metadata)) is None


def test_where_no_service_answers_the_watch_ends_by_itself():
    with Interruption(NOWHERE, poll_seconds=0.001) as interruption:
        interruption._watcher.join(10)
        assert not interruption._watcher.is_alive()
        assert not interruption.noticed()


def test_the_endpoint_comes_from_the_environment(metadata: Metadata, monkeypatch: pytest.MonkeyPatch):
    metadata.notice = b'{"action": "stop"}'
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url(metadata) + "/")
    with Interruption(poll_seconds=0.01) as interruption:
        assert interruption.wait(10)
        assert interruption.reason == "spot notice: stop"
