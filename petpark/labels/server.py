"""Serves the labelling page on loopback to one person.

Other sites and other users of this machine get nothing: data needs a random token, which is in the page's address
behind the `#`, where browsers never send it; `Host` must be this server (DNS rebinding), and a `POST` must come from
its page (CSRF). https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, override

from monitoring.late_labels.records import Answer, LabelRecordMalformed, LabelsMoved
from monitoring.predictions import PredictionsUnreadable
from petpark.labels.labelling import LabelInvalid, PhotoGone
from registry.errors import RegistryError
from serving.pages import CONTENT_SECURITY_POLICY, LANGUAGES, TYPES, filled, preferred

if TYPE_CHECKING:
    from petpark.labels.labelling import Labelling

TOKEN_HEADER: Final = "X-Petpark-Token"  # noqa: S105  its name
_BODY_BYTES: Final = 4096
_SECONDS: Final = 10
_SHARED: Final = ("style.css", "common.js", "icon.svg")
"""Files of the endpoint's pages."""
_OWN: Final = ("label.css", "label.js")
_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
}


class _Refused(Exception):
    """The request is answered with a problem document."""

    def __init__(self, status: int, name: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail


class LabelServer(ThreadingHTTPServer):
    """One page for one person and one sample. `serve_forever` until `shutdown`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, labelling: Labelling, *, port: int = 0) -> None:
        """Listen on 127.0.0.1; port 0 selects a free one. Raises OSError."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.labelling = labelling
        self.token = secrets.token_urlsafe(32)
        self.files = _files()
        self.pages = _pages()

    @property
    def hosts(self) -> tuple[str, str]:
        """Accepted values of the header `Host`."""
        return f"127.0.0.1:{self.server_port}", f"localhost:{self.server_port}"

    @property
    def url(self) -> str:
        """The address to open. Secret, because it contains the token."""
        return f"http://{self.hosts[0]}/#{self.token}"

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: the browser disconnected."""


class _Handler(BaseHTTPRequestHandler):
    server: LabelServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _get(self) -> tuple[str, bytes]:
        path = self.path.partition("?")[0]
        if path == "/":
            return "text/html; charset=utf-8", self.server.pages[preferred(self.headers.get("accept-language", ""))]
        if path in self.server.files:
            return self.server.files[path]
        self._authorize()
        labelling = self.server.labelling
        if path == "/v1/state":
            labelling.refresh(now=True)
            return _json(labelling.state())
        photo = path.removeprefix("/v1/photos/")
        if photo != path and photo.isascii() and photo.isdecimal() and len(photo) < 8:
            return "image/jpeg", labelling.picture(int(photo))
        raise _Refused(404, "not-found", "There is no such page.")

    def _post(self) -> tuple[str, bytes]:
        body = self._body()
        self._authorize()
        labelling = self.server.labelling
        if self.path == "/v1/labels":
            photo, seen = _integer(body, "photo"), None if body.get("seen") is None else _integer(body, "seen")
            labelling.say(photo, _answer_of(body), _class_of(body), seen=seen)
        elif self.path == "/v1/undo":
            labelling.undo(_integer(body, "photo"), seen=_integer(body, "seen"))
        else:
            raise _Refused(404, "not-found", "There is no such page.")
        labelling.refresh()
        return _json(labelling.state())

    def _refuse_other_hosts(self) -> None:
        """Refuse requests for another host name (DNS rebinding)."""
        named = self.headers.get_all("host", [])
        if len(named) != 1 or named[0] not in self.server.hosts:
            self.close_connection = True  # a body is not read
            raise _Refused(403, "forbidden", f"Wrong Host header; expected {self.server.hosts[0]}.")

    def _authorize(self) -> None:
        given = self.headers.get(TOKEN_HEADER, "")
        if not secrets.compare_digest(given.encode(), self.server.token.encode()):
            raise _Refused(401, "token", "The token is missing or invalid; open the address that the command printed.")

    def _body(self) -> Mapping[str, Any]:
        """Read a small JSON object that the page of this very server sends."""
        try:
            length = int(self.headers.get("content-length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= _BODY_BYTES:
            self.close_connection = True  # what follows is not read
            raise _Refused(413, "bad-request", f"The request must state its length, at most {_BODY_BYTES} bytes.")
        data = self.rfile.read(length)
        if self.headers.get("origin") != f"http://{self.headers.get('host')}":
            raise _Refused(403, "forbidden", "The request has another origin.")
        if self.headers.get_content_type() != "application/json":
            raise _Refused(415, "bad-request", "The request must be JSON.")
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise _Refused(400, "bad-request", "The request must be a JSON object.")
        return found

    def _answer(self, work: Callable[[], tuple[str, bytes]]) -> None:
        status = 200
        try:
            self._refuse_other_hosts()
            media, body = work()
        except _Refused as refused:
            status, (media, body) = refused.status, _problem(refused)
        except (
            LabelInvalid,
            LabelsMoved,
            PhotoGone,
            RegistryError,
            PredictionsUnreadable,
            LabelRecordMalformed,
        ) as error:
            refused = _translated(error)
            status, (media, body) = refused.status, _problem(refused)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  one request fails, and the page goes on
            sys.stderr.write(f"labels page: {self.command} {self.path.partition('?')[0]}: {error!r}\n")
            status, (media, body) = 500, _problem(_Refused(500, "internal", f"{type(error).__name__}: {error}"))
        self.send_response(status)
        for name, value in {**_HEADERS, "content-type": media, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    @override
    def version_string(self) -> str:
        return "petpark"

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Log no requests: each photo takes several."""


def _translated(error: Exception) -> _Refused:
    match error:
        case LabelInvalid():
            return _Refused(400, "bad-request", str(error))
        case LabelsMoved():
            return _Refused(409, "conflict", str(error))
        case PhotoGone():
            return _Refused(404, "photo-gone", str(error))
        case _:
            return _Refused(502, "store", f"{type(error).__name__}: {error}")


def _problem(refused: _Refused) -> tuple[str, bytes]:
    found = {"type": f"/problems#{refused.name}", "status": refused.status, "detail": refused.detail}
    return "application/problem+json", json.dumps(found).encode()


def _json(value: object) -> tuple[str, bytes]:
    return "application/json", json.dumps(value, ensure_ascii=False).encode()


def _integer(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Refused(400, "bad-request", f"`{name}` must be a whole number.")
    return value


def _answer_of(body: Mapping[str, Any]) -> Answer:
    value = body.get("answer")
    if value not in (Answer.CLASS, Answer.NEITHER, Answer.UNKNOWN):
        raise _Refused(400, "bad-request", "`answer` must be class, neither or unknown.")
    return Answer(value)


def _class_of(body: Mapping[str, Any]) -> str | None:
    value = body.get("label")
    if value is not None and not isinstance(value, str):
        raise _Refused(400, "bad-request", "`label` must be a class or null.")
    return value


def _files() -> Mapping[str, tuple[str, bytes]]:
    """All served files, by path, so request paths are never used as file paths."""
    shared, own = resources.files("serving.pages"), resources.files("petpark.labels.page")
    found = {
        f"/pages/{name}": (TYPES[name.rpartition(".")[2]], folder.joinpath(name).read_bytes())
        for folder, names in ((shared, _SHARED), (own, _OWN))
        for name in names
    }
    return found | {
        f"/pages/texts/{language}.json": ("application/json", own.joinpath("texts", f"{language}.json").read_bytes())
        for language in LANGUAGES
    }


def _pages() -> Mapping[str, bytes]:
    own = resources.files("petpark.labels.page")
    template = own.joinpath("label.html").read_text("utf-8")
    return {
        language: filled(template, json.loads(own.joinpath("texts", f"{language}.json").read_bytes()), language)
        for language in LANGUAGES
    }
