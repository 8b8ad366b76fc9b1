"""Commands outlive a role's session: its credentials are renewed before they expire."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from petpark.targets.stacks import parse
from petpark.targets.target import Target
from registry.errors import StoreRefused
from registry.layout.roles import Role
from rehearsal.target import rehearsal_target
from tests.petpark.conftest import outputs

_CALLER = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/ana</Arn>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
_ASSUMED = (
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA{n}</AccessKeyId>"
    "<SecretAccessKey>secret</SecretAccessKey><SessionToken>token-{n}</SessionToken>"
    "<Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
)
_EXPIRED = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


@dataclass
class Cloud:
    """STS whose sessions last `seconds`, and a store that refuses a session that it met before, as after an hour."""

    seconds: float = 60
    handed: int = 0
    over: int = 0
    refusing: bool = False
    callers: list[str] = field(default_factory=list[str])
    stored: list[str] = field(default_factory=list[str])

    def assume(self, authorization: str) -> tuple[int, str]:
        if self.refusing:
            return 403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
        self.handed += 1
        self.callers.append(re.search(r"Credential=([^/]+)/", authorization)[1])  # type: ignore[index]
        until = datetime.now(UTC) + timedelta(seconds=self.seconds)
        return 200, _ASSUMED.format(n=self.handed, until=until.isoformat())

    def store(self, token: str | None, path: str) -> tuple[int, str]:
        number = int((token or "token-0").removeprefix("token-"))
        if number <= self.over:
            return 400, _EXPIRED
        self.stored.append(path)
        if self.seconds < 600:
            self.over = number
        return 200, ""


@pytest.fixture
def cloud() -> Iterator[tuple[Cloud, Target]]:
    cloud = Cloud()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = parse_qs(self.body().decode())
            if asked["Action"] == ["GetCallerIdentity"]:
                self.answer(200, _CALLER)
            else:
                self.answer(*cloud.assume(self.headers["Authorization"]))

        def do_PUT(self) -> None:
            self.body()
            self.answer(*cloud.store(self.headers["X-Amz-Security-Token"], self.path))

        def do_HEAD(self) -> None:
            self.answer(*cloud.store(self.headers["X-Amz-Security-Token"], self.path))

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(text)))
            self.send_header("ETag", '"0"')
            self.send_header("Last-Modified", "Mon, 03 Aug 2026 10:00:00 GMT")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield cloud, rehearsal_target(parse("test", outputs()), {}, url, ("test",))
        server.shutdown()
        thread.join()


def test_a_role_whose_session_ends_is_assumed_again_by_the_same_caller(cloud: tuple[Cloud, Target]) -> None:
    sessions, target = cloud
    store = target.store("lake", role=Role.PUBLISHER)
    for key in ("a", "b", "c"):
        store.stat(key)
    assert len(sessions.stored) == 3
    assert sessions.handed >= 3, "each session is over by the next request"
    assert set(sessions.callers) == {"test"}, "a role's session cannot renew itself"


def test_the_transfer_library_gets_renewed_credentials_too(cloud: tuple[Cloud, Target]) -> None:
    sessions, target = cloud
    store = target.store("lake", role=Role.PUBLISHER)
    for key in ("a", "b", "c"):
        store.create(key, b"photo")
    assert sessions.stored == ["/lake/a", "/lake/b", "/lake/c"]
    assert sessions.handed > 3


def test_a_session_that_lasts_is_not_renewed_for_every_request(cloud: tuple[Cloud, Target]) -> None:
    sessions, target = cloud
    sessions.seconds = 3600
    store = target.store("lake", role=Role.PUBLISHER)
    for key in ("a", "b", "c"):
        store.create(key, b"photo")
        store.stat(key)
    assert sessions.handed == 1


def test_a_caller_whose_own_sign_in_is_over_is_told_so(cloud: tuple[Cloud, Target]) -> None:
    sessions, target = cloud
    store = target.store("lake", role=Role.PUBLISHER)
    sessions.refusing = True
    with pytest.raises(StoreRefused, match="AccessDenied"):
        store.create("a", b"photo")
