"""The page's server talks to its own page only: not to other sites, other names, other users of the machine."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from monitoring.late_labels.records import Answer
from petpark.labels.server import TOKEN_HEADER, LabelServer
from registry.errors import StoreUnavailable
from tests.petpark.conftest import Place
from tests.petpark.labels.recorded_photos import draw, labelling, lake_of, record

type Answered = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def place() -> Place:
    place = Place()
    record(lake_of(place), photos=30)
    return place


@pytest.fixture(scope="module")
def server(place: Place) -> Iterator[LabelServer]:
    with LabelServer(labelling(place, draw(place), "ana", timer=lambda: 0.0)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: LabelServer, path: str, *, method: str = "GET", body: Any = None, **changed: str | None) -> Answered:
    """Send what the page sends; `changed` header lines have underscores, None leaves one out."""
    host = server.hosts[0]
    headers: dict[str, str | None] = {"host": host, TOKEN_HEADER.lower(): server.token}
    if method == "POST":
        headers |= {"origin": f"http://{host}", "content-type": "application/json"}
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        if value is not None:
            connection.putheader(name, value)
    if data is not None and "content_length" not in changed:
        connection.putheader("content-length", str(len(data)))
    connection.endheaders(data)
    found = connection.getresponse()
    answer = found.status, {name.lower(): value for name, value in found.getheaders()}, found.read()
    connection.close()
    return answer


def say(server: LabelServer, **changed: Any) -> Answered:
    body = {"photo": 1, "answer": "class", "label": "cat", "seen": None}
    return ask(server, "/v1/labels", method="POST", body=body, **changed)


def kept(place: Place) -> list[str]:
    return [key for key in lake_of(place).keys("labels/") if "/people/" in key]


def test_it_listens_on_loopback_only_and_its_address_has_the_token_behind_the_hash(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/#{server.token}"
    assert len(server.token) >= 43


def test_the_page_itself_has_no_data_and_the_policy_of_the_endpoints_pages(server):
    status, headers, body = ask(server, "/", x_petpark_token=None)
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert server.token.encode() not in body
    assert server.labelling.sample.id.encode() not in body
    assert "Python" not in headers["server"]


@pytest.mark.parametrize("path", ["/v1/state", "/v1/photos/1"])
@pytest.mark.parametrize("token", [None, "", "x" * 43, "ä"])
def test_without_the_token_there_is_no_data(server, path, token):
    status, _, body = ask(server, path, x_petpark_token=token)
    assert status == 401
    assert json.loads(body)["type"].endswith("#token")
    assert ask(server, path)[0] == 200


@pytest.mark.parametrize("host", ["park.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", "", None])
@pytest.mark.parametrize("path", ["/", "/v1/state", "/pages/label.js"])
def test_another_name_gets_nothing_whatever_else_it_sends(server, host, path):
    """DNS rebinding: a foreign page's name that now means 127.0.0.1."""
    assert ask(server, path, host=host)[0] == 403


def test_localhost_is_this_server_too(server):
    host = server.hosts[1]
    assert ask(server, "/v1/state", host=host)[0] == 200
    status, _, _ = ask(server, "/v1/labels", method="POST", body={}, host=host, origin=f"http://{host}")
    assert status == 400


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1"])
def test_another_site_cannot_label_even_with_the_token(server, place, origin):
    before = kept(place)
    assert say(server, origin=origin)[0] == 403
    assert kept(place) == before


def test_a_form_of_another_site_cannot_label(server, place):
    """A form can send text/plain without a preflight, and no header line of its own."""
    before = kept(place)
    assert say(server, content_type="text/plain")[0] == 415
    assert say(server, x_petpark_token=None)[0] == 401
    assert kept(place) == before


@pytest.mark.parametrize(
    "path",
    [
        "/pages/../server.py",
        "/pages/%2e%2e/server.py",
        "/pages/texts/../../labelling.py",
        "//etc/passwd",
        "/pages/",
        "/v1/photos/../state",
        "/v1/photos/-1",
        "/v1/photos/1.5",
        "/v1/photos/%D9%A3",
        "/v1/photos/99999999",
        "/v1/photos/0",
    ],
)
def test_no_path_reaches_anything_else(server, path):
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 4000,
        {"photo": True, "answer": "neither"},
        {"photo": "1", "answer": "neither"},
        {"photo": 99, "answer": "neither"},
        {"photo": 1, "answer": "neither", "seen": "x"},
        {"photo": 1, "answer": "withdrawn"},
        {"photo": 1, "answer": "class", "label": 7},
        {"photo": 1, "answer": "class", "label": "bird"},
    ],
)
def test_an_invalid_label_is_refused_and_not_stored(server, place, body):
    before = kept(place)
    assert ask(server, "/v1/labels", method="POST", body=body)[0] == 400
    assert kept(place) == before


@pytest.mark.parametrize("length", [None, "-1", "x", "4097", "99999999999"])
def test_a_body_without_a_small_stated_length_is_not_read(server, length):
    status, headers, _ = say(server, content_length=length)
    assert status == 413
    assert headers["connection"] == "close"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_do_nothing(server, method):
    assert ask(server, "/v1/state", method=method)[0] == 501


def test_a_label_is_stored_changed_and_withdrawn(server, place):
    status, _, body = say(server)
    assert status == 200
    (mine,) = json.loads(body)["mine"]
    assert mine == {"photo": 1, "answer": "class", "label": "cat", "record": 1}
    assert say(server)[0] == 409
    undo = {"photo": 1, "seen": 1}
    status, _, body = ask(server, "/v1/undo", method="POST", body=undo)
    assert (status, json.loads(body)["mine"]) == (200, [])
    assert ask(server, "/v1/undo", method="POST", body=undo)[0] == 409
    assert len(kept(place)) == 2


def test_an_unavailable_store_is_reported_and_the_server_continues(server, place, monkeypatch):
    def away(*_: object) -> None:
        raise StoreUnavailable("write", "the network is down")

    with monkeypatch.context() as patch:
        patch.setattr(lake_of(place), "create", away)
        status, _, body = say(server)
        assert status == 502
        assert "the network is down" in json.loads(body)["detail"]
    assert ask(server, "/v1/state")[0] == 200


def test_an_internal_error_is_reported_and_the_server_continues(server, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(server.labelling, "state", lambda: {}["x"])
        assert ask(server, "/v1/state")[0] == 500
    assert "KeyError" in capsys.readouterr().err
    assert ask(server, "/v1/state")[0] == 200


def test_the_page_needs_no_library_of_the_serving_environment():
    """Operators have what `make deploy-setup` installs."""
    probe = "import sys, petpark.labels.server; print(*{name.partition('.')[0] for name in sys.modules})"
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=120, check=True)
    assert {"torch", "starlette", "onnxruntime", "msgspec", "granian", "prometheus_client"}.isdisjoint(
        ended.stdout.split()
    )


def test_what_is_not_http_gets_no_data(server):
    with socket.create_connection(server.server_address, timeout=10) as raw:
        raw.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        assert b"200" not in raw.recv(4096)


def test_the_page_shows_other_peoples_progress_immediately(server, place):
    before = json.loads(ask(server, "/v1/state")[2])["progress"]["settled"]
    sample = server.labelling.sample
    photo = next(number for number, each in enumerate(sample.photos, start=1) if not each.twice and number > 1)
    labelling(place, sample, "vera").say(photo, Answer.CLASS, "cat", seen=None)
    assert json.loads(ask(server, "/v1/state")[2])["progress"]["settled"] == before + 1
