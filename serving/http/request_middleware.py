"""Outermost middleware: request id, metrics and error handling."""

import logging
import random
import re
import time
from typing import Any, override

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import problems
from serving.http.connections import Connections, Line
from serving.http.reply import Reply
from serving.release.live import Live
from serving.telemetry import Metrics

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

_HOST = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]+")
"""RFC 3986, section 3.2: host and port."""

_COMMON_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]


class IndexedHeaders(Headers):
    """Headers with lookup by dictionary; Starlette searches a list each time.

    Of several headers with the same name the first one counts, as in Starlette. ASGI has names in lower case.
    """

    def __init__(self, *, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._index = dict(reversed(scope["headers"]))

    def __getitem__(self, key: str) -> str:
        """Returns the value of the first header with that name. Raises KeyError."""
        return self._index[key.lower().encode("latin-1")].decode("latin-1")

    def __contains__(self, key: object) -> bool:
        """Whether there is a header with that name."""
        return isinstance(key, str) and key.lower().encode("latin-1") in self._index

    @override
    def get(self, key: str, default: Any = None) -> Any:
        value = self._index.get(key.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")


class IndexedRequest(Request):
    """A request with `IndexedHeaders`."""

    @property
    def headers(self) -> Headers:
        """The headers."""
        headers: Headers | None = self.scope.get("petpark.headers")
        if headers is None:
            headers = self.scope["petpark.headers"] = IndexedHeaders(scope=self.scope)
        return headers


class RequestMiddleware:
    """ASGI middleware around the application. If `connections` is None, they are not counted."""

    def __init__(self, app: ASGIApp, *, live: Live, metrics: Metrics, connections: Connections | None = None) -> None:
        self.app = app
        self._connections = connections
        self._live = live
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = scope["petpark.headers"] = IndexedHeaders(scope=scope)
        request_id = request_id_of(headers.get("x-request-id"))
        counted = False

        def count(status: int) -> None:
            nonlocal counted
            counted = True
            self._metrics.count(_route(scope), status, time.perf_counter() - reply.began)

        reply = Reply(send, common_headers=lambda: self._headers(request_id), sending=count)
        scope.setdefault("state", {}).update(request_id=request_id, reply=reply)
        self._metrics.running += 1
        line = _line(scope) if self._connections else None
        if self._connections and line:
            self._connections.begin(line)
        try:
            if (wrong := wrong_host(scope)) is None:
                await self.app(scope, receive, reply.send)
            else:
                refusal = problems.response(problems.BAD_REQUEST, wrong, request_id=request_id)
                await refusal(scope, receive, reply.send)
        except Exception:
            logger.exception("request failed", extra={"request_id": request_id, "path": scope["path"]})
        finally:
            self._metrics.running -= 1
            if self._connections and line:
                self._connections.end(line)
            if not counted:
                count(reply.status)

    def _headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-request-id", request_id.encode()), *_COMMON_HEADERS]
        return [*headers, (b"connection", b"close")] if self._live.draining else headers


def request_id_of(given: str | None) -> str:
    """Returns the caller's id if it is safe to log and send back, otherwise a new one.

    An id is not secret, and reading random bytes from the system would release Python's lock at each request.
    """
    return given if given is not None and _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def wrong_host(scope: Scope) -> str | None:
    """Returns what is wrong with the Host header, which proxies may interpret differently; None if it is valid.

    RFC 9112, section 3.2: an HTTP/1.1 request has exactly one, with a valid value. Granian adds an empty one if it is
    missing.
    """
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) > 1:
        return f"The request has {len(hosts)} Host headers; send exactly one."
    if hosts and _HOST.fullmatch(hosts[0]):
        return None
    if not any(hosts):
        return "The Host header is missing." if scope["http_version"] == "1.1" else None
    return "The Host header is invalid; send a name or an address, optionally with a port."


def _line(scope: Scope) -> Line | None:
    """Returns the connection of a request; None if the server does not report it."""
    client, server = scope.get("client"), scope.get("server")
    return (client[0], str(client[1]), str(server[1])) if client and server else None


def _route(scope: Scope) -> str:
    """Returns the route, not the path: as labels of metrics, arbitrary paths would fill the memory."""
    route = scope.get("route")
    return route.path if isinstance(route, Route) else "none"
