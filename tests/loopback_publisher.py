"""A publisher of archives on loopback that serves files and fails on request, and a proxy that records."""

from __future__ import annotations

import hashlib
import io
import select
import shutil
import socket
import ssl
import threading
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, override
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How to answer one request instead of serving the file as it should be.

    `cut` ends the connection after so many bytes of the body; `hold` keeps it open there until the event is set.
    `headers` go on top; an empty one is left out.
    """

    status: int = 0
    body: bytes | None = None
    cut: int | None = None
    hold: threading.Event | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Publisher:
    """What it serves by path, how it answers the next requests, and which requests it got."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    large: dict[str, Path] = field(default_factory=dict[str, Path])
    """Files on disk, which are served whole."""
    answers: list[Answer] = field(default_factory=list[Answer])
    ranges: bool = True
    etags: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(path, Range) of each GET."""
    url: str = ""
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int) -> None:
        """Returns when `count` GETs were begun."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.asked) >= count, timeout=60)


class _Handler(BaseHTTPRequestHandler):
    publisher: Publisher
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        body = self.publisher.files.get(urlsplit(self.path).path)
        self.send_response(404 if body is None else 200)
        self.send_header("content-length", str(len(body or b"")))
        self.end_headers()

    def do_GET(self) -> None:
        publisher = self.publisher
        path, asked = urlsplit(self.path).path, self.headers.get("range", "")
        with publisher.arrived:
            publisher.asked.append((path, asked))
            answer = publisher.answers.pop(0) if publisher.answers else Answer()
            publisher.arrived.notify_all()
        if path in publisher.large:
            self._stream(publisher.large[path])
            return
        content = publisher.files.get(path)
        if answer.status or content is None:
            self._send(answer.status or 404, answer.body or b"", answer, {})
            return
        whole = content if answer.body is None else answer.body
        tag = '"' + hashlib.sha256(whole).hexdigest()[:12] + '"'
        headers = {"etag": tag} if publisher.etags else {}
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if not asked or not publisher.ranges or self.headers.get("if-range", tag) != tag:
            self._send(200, whole, answer, headers)
        elif first >= len(whole):
            self._send(416, b"", answer, headers | {"content-range": f"bytes */{len(whole)}"})
        else:
            ranged = f"bytes {first}-{len(whole) - 1}/{len(whole)}"
            self._send(206, whole[first:], answer, headers | {"content-range": ranged})

    def _stream(self, file: Path) -> None:
        self.send_response(200)
        self.send_header("content-length", str(file.stat().st_size))
        self.end_headers()
        with file.open("rb") as source:
            shutil.copyfileobj(source, self.wfile)

    def _send(self, status: int, body: bytes, answer: Answer, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"content-length": str(len(body))} | headers | answer.headers).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        with_fault = answer.cut is not None or answer.hold is not None
        try:
            self.wfile.write(body[: answer.cut] if with_fault else body)
            self.wfile.flush()
            if answer.hold is not None:
                answer.hold.wait(60)
                self.wfile.write(body[answer.cut :] if answer.cut else body[len(body) :])
        except OSError:  # the client has gone
            self.close_connection = True
        if (answer.cut is not None and answer.hold is None) or "content-length" in answer.headers:
            self.close_connection = True

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def publisher(tls: ssl.SSLContext | None = None) -> Generator[Publisher]:
    """A running publisher; with `tls` it speaks HTTPS."""
    made = Publisher()
    handler = type("Handler", (_Handler,), {"publisher": made})
    with _serving(handler, tls) as port:
        made.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield made


class _ProxyHandler(BaseHTTPRequestHandler):
    asked: list[str]
    target: tuple[str, int]
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        self.asked.append(f"CONNECT {self.path}")
        with socket.create_connection(self.target, timeout=30) as beyond:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: beyond, beyond: self.connection}
            while True:
                ready, _, _ = select.select(list(ends), [], [], 30)
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        self.close_connection = True
                        return
                    ends[end].sendall(data)

    def do_GET(self) -> None:
        self.asked.append(f"GET {self.path}")
        path = urlsplit(self.path).path
        with socket.create_connection(self.target, timeout=30) as beyond:
            beyond.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            while data := beyond.recv(65536):
                self.wfile.write(data)
        self.close_connection = True

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


@dataclass(frozen=True)
class Proxy:
    """A proxy and which requests it got."""

    url: str
    asked: list[str]


@contextmanager
def proxy(target: str) -> Generator[Proxy]:
    """A proxy that leads every host to `target`, a loopback address."""
    asked: list[str] = []
    address = urlsplit(target)
    assert address.hostname is not None
    assert address.port is not None
    handler = type("Handler", (_ProxyHandler,), {"asked": asked, "target": (address.hostname, address.port)})
    with _serving(handler, None) as port:
        yield Proxy(f"http://127.0.0.1:{port}", asked)


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None) -> Generator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for `host`, and the file of the authority that signed for it (itself)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, private = folder / "ca.pem", folder / "key.pem"
    authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, private)
    return context, authority


def zipped(files: dict[str, bytes], *, mode: int = 0o100755) -> bytes:
    """A zip with these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return packed.getvalue()
