"""Targets controlled by the test, and a load balancer over a declaration that the test can change."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rehearsal.load_balancer import LoadBalancer


class Target:
    """An HTTP server with a name, counting what it answers; `busy` holds its answers back until it is set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.healthy = True
        self.answered = 0
        self.arrived = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()
        self.rude = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                if self.path == "/healthz/ready":
                    return self._reply(200 if outer.healthy else 503, b"")
                outer.arrived.release()
                if outer.rude:
                    self.close_connection = True
                    return None
                outer.free.wait(60)
                outer.answered += 1
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                seen = f"{outer.name} {self.command} {self.headers.get('X-Forwarded-For')} {len(body)}"
                if self.path == "/chunks":
                    return self._chunks([seen.encode(), b"x" * 200_000])
                return self._reply(200, seen.encode())

            do_POST = do_HEAD = do_GET

            def _reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def _chunks(self, parts: list[bytes]) -> None:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for part in [*parts, b""]:
                    self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")

            def log_message(self, format: str, *args: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None: ...

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


class Declared:
    """What the emulator says of one load balancer: groups of targets with weights."""

    url, region = "http://127.0.0.1:1", "eu-west-1"

    def __init__(self) -> None:
        self.groups: dict[str, tuple[int, list[Target]]] = {}
        self.listeners: list[dict[str, Any]] | None = None

    def client(self, service: str) -> Any:
        assert service == "elbv2"
        return self

    def environment(self) -> dict[str, str]:
        return {}

    def describe_listeners(self, **_: Any) -> dict[str, Any]:
        weights = [{"TargetGroupArn": arn, "Weight": weight} for arn, (weight, _) in self.groups.items()]
        forward = {"Type": "forward", "ForwardConfig": {"TargetGroups": weights}}
        return {"Listeners": self.listeners or [{"Port": 80, "DefaultActions": [forward]}]}

    def describe_target_groups(self, *, TargetGroupArns: list[str]) -> dict[str, Any]:
        common = {"Port": 8080, "HealthCheckPath": "/healthz/ready", "HealthCheckIntervalSeconds": 0.05}
        common |= {"HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2, "Matcher": {"HttpCode": "200-299"}}
        return {"TargetGroups": [{"TargetGroupArn": arn, **common} for arn in TargetGroupArns]}

    def describe_target_group_attributes(self, **_: Any) -> dict[str, Any]:
        return {"Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "20"}]}

    def describe_target_health(self, *, TargetGroupArn: str) -> dict[str, Any]:
        targets = self.groups[TargetGroupArn][1]
        return {"TargetHealthDescriptions": [{"Target": {"Id": one.name, "Port": one.port}} for one in targets]}


@pytest.fixture
def target() -> Iterator[Callable[[str], Target]]:
    """Makes targets and ends them."""
    made: list[Target] = []

    def make(name: str) -> Target:
        made.append(Target(name))
        return made[-1]

    yield make
    for one in made:
        one.free.set()
        one.stop()


@pytest.fixture
def declared() -> Declared:
    return Declared()


@pytest.fixture
def balancer(declared: Declared) -> Iterator[LoadBalancer]:
    """Not started yet; stopped after the test."""
    made = LoadBalancer(declared, load_balancer_arn="arn:park", resolve=lambda _id: "127.0.0.1", refresh_seconds=0.05)
    yield made
    made.stop()
