"""A WSGI application on loopback, behind HTTP as production servers speak it.

Werkzeug's development server closes each connection after one answer, and drops what goes wrong with a connection
without a word (https://github.com/pallets/werkzeug/issues/2397). Here connections stay open, the application is called
when the whole request has arrived, and each request leaves a line in the log, so that a client which asks twice names
itself in a failing test's output.
"""

from __future__ import annotations

import io
import logging
import re
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, override
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

from cheroot.server import HTTPConnection
from cheroot.wsgi import Gateway_10
from cheroot.wsgi import Server as WSGIServer
from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)

LOG = logging.getLogger("loopback")
LOG.setLevel(logging.INFO)  # pytest prints what was logged during a test that fails

# Longer than any test: a client that reuses a connection in the moment the server closes it loses its request.
_IDLE_SECONDS = 900
_CHECK_SECONDS = 0.05


class LoopbackServer:
    """Serves `app` on 127.0.0.1; `port` 0 takes a free one, `threads` is how many requests it works on."""

    def __init__(self, app: Any, *, port: int = 0, threads: int = 24, replay: bool = False) -> None:
        """With `replay`, an SDK call that is sent again gets the response of its last attempt, if that succeeded."""
        app = _Replay(app) if replay else app
        self._server = _Server(("127.0.0.1", port), app, numthreads=threads, timeout=_IDLE_SECONDS, shutdown_timeout=5)

    def start(self) -> None:
        """Listen; requests are answered from now on."""
        self._server.prepare()
        self._thread = threading.Thread(target=self._server.serve, name="loopback-server", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and the port; requests in progress have five seconds to end."""
        self._server.stop()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.bind_addr[1])

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


class _Replay:
    """Answers a repeated attempt of a call as the attempt before, if that succeeded.

    A client whose connection breaks sends its request again, and AWS then refuses a name that exists by now. That is
    AWS's behaviour (and the provider's, https://github.com/hashicorp/terraform-provider-aws/issues/14163), but no
    subject of tests whose client and server merely share a busy machine.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._responses: dict[str, tuple[tuple[Any, ...], list[bytes]]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        call = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        if not call or environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
            return self._app(environ, start_response)
        if _repeated(environ) and call in self._responses:
            head, body = self._responses[call]
            start_response(*head)
            return body
        heads: list[tuple[Any, ...]] = []

        def started(*head: Any) -> Any:
            heads.append(head)
            return start_response(*head)

        body = list(self._app(environ, started))
        if heads and heads[-1][0].startswith("2"):
            self._responses[call] = heads[-1][:2], body
        return body


class _Gateway(Gateway_10):
    """One request: as moto's own handler passes it on, and with a line in the log."""

    _request_text: str

    @override
    def get_environ(self) -> dict[str, Any]:
        environ = super().get_environ()
        body: bytes = self.req.rfile.read()
        if self.req.chunked_read:
            for _ in self.req.rfile.read_trailer_lines():
                pass
        path = urlsplit(f"//host{environ['REQUEST_URI']}").path
        environ |= {
            "wsgi.input": io.BytesIO(body),
            "wsgi.input_terminated": True,
            "CONTENT_LENGTH": str(len(body)),
            "RAW_URI": environ["REQUEST_URI"],
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),  # PEP 3333; cheroot leaves %2F as it is
        }
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        # A name with an underscore must not pass for the one with a dash, but metadata of S3 keeps its spelling.
        spelled: dict[str, str] = {}
        for name in (raw.decode("latin-1") for raw in self.req.inheaders if b"_" in raw):
            key = environ_key_for_header(name)
            if name.replace("_", "-").encode() in self.req.inheaders:
                environ[key] = self.req.inheaders[name.replace("_", "-").encode()].decode("latin-1")
            elif should_preserve_original_header_name(name):
                spelled[key] = name.lower()
            else:
                environ.pop(key, None)
        environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = spelled
        self._request_text = _request_text(environ, body)
        return environ

    @override
    def respond(self) -> None:
        began = time.monotonic()
        try:
            super().respond()
        except ConnectionError as error:
            LOG.warning("%s: the client has gone, its answer is lost: %r", self._request_text, error)
            raise
        except BaseException as error:
            LOG.error("%s: %r", self._request_text, error)  # noqa: TRY400 - cheroot logs the traceback
            raise
        status = (self.req.status or b"no status").decode("latin-1")
        LOG.info("%s: %s after %.3f s", self._request_text, status, time.monotonic() - began)
        if self.remaining_bytes_out and self.req.method != b"HEAD":
            self.req.close_connection = True  # an answer cut short on purpose ends with its connection

    @override
    def write(self, chunk: bytes) -> None:
        super().write(chunk)
        if self.remaining_bytes_out is not None:
            self.remaining_bytes_out -= len(chunk)


class _Connection(HTTPConnection):
    """Drops the rest of a response whose client disconnected: cheroot would send it during garbage collection."""

    registered = False
    """With the selector, which passes a connection to a thread when its first bytes are there."""

    @override
    def close(self) -> None:
        with suppress(OSError):
            self.wfile.close()
        super().close()


class _Server(WSGIServer):
    """cheroot's, with our gateway and log."""

    keep_alive_conn_limit = 10_000
    expiration_interval = _CHECK_SECONDS
    _connections: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gateway = _Gateway
        self.ConnectionClass = _Connection

    @override
    def process_conn(self, conn: _Connection) -> None:
        """Give no thread to a connection that sends nothing.

        cheroot reads from a new connection at once, and AWS's transfer library opens more of them than it uses: each
        kept a thread, with one thread the only one, and all requests on other connections waited for it.
        """
        if conn.registered:
            super().process_conn(conn)
        else:
            conn.registered = True
            self._connections.put(conn)

    @staticmethod
    @override
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Bind so that the next server may take the port although connections of this one are not yet forgotten."""
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return WSGIServer.bind_socket(socket_, bind_addr)

    @override
    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        LOG.log(max(level, logging.WARNING), msg, exc_info=traceback)


def _repeated(environ: dict[str, Any]) -> bool:
    return not re.fullmatch(r"attempt=1(;.*)?|", environ.get("HTTP_AMZ_SDK_REQUEST", ""))


def _request_text(environ: dict[str, Any], body: bytes) -> str:
    """A request's operation and attempt, without its content, which may be secret.

    SDKs number their attempts: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
    """
    action = environ.get("HTTP_X_AMZ_TARGET", "")
    if not action and environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        action = "".join(parse_qs(body[:1000].decode("latin-1")).get("Action", []))
    attempt = environ.get("HTTP_AMZ_SDK_REQUEST", "")
    call = environ.get("HTTP_AMZ_SDK_INVOCATION_ID", "")
    again = " ASKED AGAIN" if _repeated(environ) else ""
    return (
        f"{environ['REMOTE_ADDR']}:{environ['REMOTE_PORT']} {environ['REQUEST_METHOD']} {environ['RAW_URI']} "
        f"{action} [{attempt}] call {call}{again}"
    )
