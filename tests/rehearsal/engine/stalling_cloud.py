"""A cloud that, for chosen calls, does not respond until it is released."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import override
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 60.0


@dataclass(kw_only=True)
class StallingCloud:
    """`arrived` is set when a stalled call was carried out; `let` lets it be answered."""

    url: str
    arrived: threading.Event = field(default_factory=threading.Event)
    let: threading.Event = field(default_factory=threading.Event)


@contextmanager
def stalling(cloud: str, *, call: bytes) -> Generator[StallingCloud]:
    """Stand before `cloud` and stall the answers to requests that contain `call`."""
    behind = urlsplit(cloud)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=_TIMEOUT_SECONDS)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if call in body:
                front.arrived.set()
                front.let.wait(_TIMEOUT_SECONDS)
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = forward

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        @override
        def handle_error(self, request: object, client_address: object) -> None:
            """Some tests kill a caller."""

    server = Server(("127.0.0.1", 0), Handler)
    front = StallingCloud(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield front
    finally:
        front.let.set()
        server.shutdown()
        server.server_close()
        thread.join()
