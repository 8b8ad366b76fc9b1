"""An endpoint with a camera agent, and pages of it in Chromium."""

import json
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from registry.channel_policy import ChannelPolicy
from registry.layout.model_store import api_keys_prefix
from serving.auth.key_log import KeyLog
from serving.auth.key_record import ApiKey, KeyScope, hash_of, new_key
from tests.browser import chromium
from tests.moto_cloud import MotoCloud
from tests.serving.park import photo, version_files
from tests.serving.process import Process, Registry, running

KEYS = api_keys_prefix("prod")
ROLE = "arn:aws:iam::123456789012:role/promoter"
RULE = ChannelPolicy(two_people=False, gates=False)


class Agent:
    """What the pages see of a camera agent: its state and pictures, at its own address."""

    def __init__(self) -> None:
        self.visits = 3
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                picture = self.path == "/v1/cameras/gate/thumbnail.jpg"
                body = photo("green") if picture else json.dumps(agent.state()).encode()
                self.send_response(200 if picture or self.path == "/v1/cameras" else 404)
                self.send_header("content-type", "image/jpeg" if picture else "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def state(self) -> dict[str, Any]:
        frame = {"taken_at": "2030-01-01T10:00:00+00:00", "thumbnail": "/v1/cameras/gate/thumbnail.jpg"}
        latency = {"answers": 9, "p50": 31.4, "p99": 80.2}
        common = {"url": "rtsp://192.0.2.7/1", "frames": {}, "visits": self.visits, "visits_today": self.visits}
        gate = {"name": "gate", "state": "live", "reason": "", "last_frame": frame, "visiting": ["dog"]}
        pond = {"name": "pond", "state": "lost", "reason": "no route to host", "last_frame": None, "visiting": []}
        return {
            "endpoint": "http://127.0.0.1:8080",
            "cameras": [
                {**common, **gate, "latency_milliseconds": latency},
                {**common, **pond, "latency_milliseconds": {"answers": 0, "p50": None, "p99": None}},
            ],
            "spool": {"waiting": 2},
            "forwarding": {"to": "lake", "last_success": None, "last_error": None},
        }


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def cloud() -> Iterator[MotoCloud]:
    with MotoCloud() as opened:
        yield opened


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    opened = Agent()
    yield opened
    opened.server.shutdown()
    opened.server.server_close()


@pytest.fixture(scope="module")
def registry(cloud, tmp_path_factory) -> Registry:
    made = Registry(cloud, tmp_path_factory.mktemp("versions"), version_files)
    made.release(4.0)
    made.release(5.0)
    return made


@pytest.fixture(scope="module")
def keys(cloud, registry) -> dict[KeyScope, str]:
    """A key of each scope, in the model store."""
    made: dict[KeyScope, str] = {}
    for scope in KeyScope:
        made[scope] = new_key()
        record = ApiKey(
            name=f"{scope}-key",
            hash=hash_of(made[scope]),
            rate=100,
            burst=100,
            created=datetime.now(UTC),
            expires=None,
            scopes=frozenset({scope}),
        )
        KeyLog(registry.store, KEYS).change(lambda _, made=record: {made.name: made}, by="mia", what="create")
    return made


@pytest.fixture(scope="module")
def endpoint(cloud, registry, keys, agent) -> Iterator[Process]:
    settings = {
        "PETPARK_API_KEYS_PREFIX": KEYS,
        "PETPARK_CAMERAS": agent.url,
        "PETPARK_PROMOTER_ROLE": ROLE,
        "PETPARK_CHANNEL_RULE": json.dumps(RULE.to_dict()),
        "PETPARK_POLL_SECONDS": "0.5",
    }
    with running(cloud, registry, **settings) as process:
        process.wait_for("version active", version=2)
        yield process


@pytest.fixture
def context(browser: Browser, endpoint: Process) -> Iterator[BrowserContext]:
    with opened(browser, endpoint) as context:
        yield context


@contextmanager
def opened(browser: Browser, endpoint: Process, **options: Any) -> Generator[BrowserContext]:
    """A visitor of their own. What the console complains about at the end fails the test: CSP says it there."""
    settings: dict[str, Any] = {"locale": "en-GB", **options}
    context = browser.new_context(base_url=endpoint.url, **settings)
    context.set_default_timeout(30_000)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield context
    context.close()
    expected = re.compile(r"the server responded with a status of (40\d|415|422|503)|net::ERR_FAILED")
    assert [complaint for complaint in complaints if not expected.search(complaint)] == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def give(page: Page, body: bytes, name: str = "pet.jpg", kind: str = "image/jpeg") -> None:
    page.locator("#file").set_input_files({"name": name, "mimeType": kind, "buffer": body})
