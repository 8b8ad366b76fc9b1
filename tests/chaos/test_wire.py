"""The relay between instances and AWS: what it lets through, holds, and refuses."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

import httpx
import pytest

from tests.chaos.wire import Request, Wire


class Server(ThreadingHTTPServer):
    """Keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard: list[tuple[str, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        server: Any = self.server
        server.heard.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_PUT

    @override
    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as made:
        yield made


def wire(server: Server, watch: Any = lambda _request: True) -> Wire:
    return Wire("127.0.0.1", server.server_port, watch)


def test_every_request_is_seen_before_it_is_sent_on(server: Server, client: httpx.Client) -> None:
    seen: list[Request] = []

    def watch(request: Request) -> bool:
        assert len(server.heard) == len(seen)
        seen.append(request)
        return True

    with wire(server, watch) as relay:
        large = b"x" * 300_000
        for path, body in (("/bucket/a%20b?x=1", b"one"), ("/bucket/c", large), ("/", b"three")):
            assert client.put(relay.url + path, content=body).text == "ok"
    assert [(each.method, each.path, each.of_s3) for each in seen] == [
        ("PUT", "/bucket/a b", True),
        ("PUT", "/bucket/c", True),
        ("PUT", "/", False),
    ]
    assert [body for _, body in server.heard] == [b"one", large, b"three"]


def test_of_other_services_the_whole_request_is_seen(server: Server) -> None:
    seen: list[str] = []

    def watch(request: Request) -> bool:
        seen.append(request.beginning)
        return True

    with (
        wire(server, watch) as relay,
        socket.create_connection(("127.0.0.1", int(relay.url.rpartition(":")[2]))) as raw,
    ):
        raw.sendall(b"POST / HTTP/1.1\r\nhost: x\r\nContent-Length: 9\r\n\r\nthe ")
        raw.sendall(b"token")
        assert raw.recv(100).startswith(b"HTTP/1.1 200")
    assert [each.rpartition("\r\n")[2] for each in seen] == ["the token"]


def test_a_request_that_must_not_go_on_ends_its_connection(server: Server, client: httpx.Client) -> None:
    with wire(server, lambda request: request.path != "/bucket/lost") as relay:
        with pytest.raises(httpx.TransportError):
            client.put(f"{relay.url}/bucket/lost", content=b"x")
        assert client.put(f"{relay.url}/bucket/kept", content=b"x").text == "ok"
    assert [path for path, _ in server.heard] == ["/bucket/kept"]


def test_a_store_that_fails_fails_alone_and_comes_back(server: Server, client: httpx.Client) -> None:
    with wire(server) as relay:
        relay.fail("503")
        assert client.put(f"{relay.url}/bucket/a", content=b"x").status_code == 503
        relay.fail("closed")
        with pytest.raises(httpx.TransportError):
            client.put(f"{relay.url}/bucket/a", content=b"x")
        assert client.post(f"{relay.url}/", content=b"x").text == "ok", "other services answer"
        relay.fail("silent")
        with pytest.raises(httpx.ReadTimeout):
            client.put(f"{relay.url}/bucket/a", content=b"x", timeout=0.3)
        relay.fail("")
        assert client.put(f"{relay.url}/bucket/a", content=b"x").text == "ok"
