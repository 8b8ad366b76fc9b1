"""Camera agents as the endpoint hands them on: within bounds of time and size, and never as its own failure."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serving.http import camera_agents

FRAME = {"taken_at": "2030-01-01T00:00:00+00:00", "thumbnail": "/v1/cameras/gate/thumbnail.jpg"}
STATE = {"endpoint": "x", "cameras": [{"name": "gate", "last_frame": FRAME}], "spool": {}, "forwarding": {}}


class CameraAgent:
    """Something on loopback that answers as a test says."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str, bytes]] = {}
        self.slow = threading.Event()
        self.hangs = False
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                if agent.hangs:
                    agent.slow.wait()
                status, kind, body = agent.answers.get(self.path, (404, "application/problem+json", b"{}"))
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def agent():
    opened = CameraAgent()
    opened.answers["/v1/cameras"] = (200, "application/json", json.dumps(STATE).encode())
    opened.answers["/v1/cameras/gate/thumbnail.jpg"] = (200, "image/jpeg", b"a picture")
    yield opened
    opened.slow.set()
    opened.server.shutdown()
    opened.server.server_close()


@pytest.fixture
def get(open_endpoint, agent):
    endpoint = open_endpoint(cameras=(agent.url, "http://127.0.0.1:9"))
    return endpoint.http.get


def test_state_and_picture_are_handed_on_beside_an_agent_that_is_away(get):
    answer = get("/v1/cameras")
    assert answer.headers["cache-control"] == "no-store"
    first, second = answer.json()["agents"]
    assert answer.status_code == 200
    assert (first["error"], first["cameras"][0]["name"]) == (None, "gate")
    assert "ConnectionRefusedError" in second["error"]
    picture = get(first["cameras"][0]["last_frame"]["thumbnail"])
    assert (picture.status_code, picture.headers["content-type"], picture.content) == (200, "image/jpeg", b"a picture")


@pytest.mark.parametrize(
    "answer",
    [
        (200, "application/json", b"[]"),
        (200, "application/json", b"not json"),
        (200, "application/json", b'{"cameras": [{}]}'),
        (200, "text/html", b"<h1>hello</h1>"),
        (302, "application/json", b"{}"),
        (500, "application/json", b"{}"),
        (200, "application/json", b" " * (camera_agents._STATE_BYTES + 1)),
    ],
)
def test_what_is_no_agents_answer_is_an_agent_away(get, agent, answer):
    agent.answers["/v1/cameras"] = answer
    (first, _) = get("/v1/cameras").json()["agents"]
    assert first["error"]
    assert first["cameras"] == []


def test_an_agent_that_hangs_holds_nobody_up(get, agent, monkeypatch):
    monkeypatch.setattr(camera_agents, "_SECONDS", 0.2)
    agent.hangs = True  # until the test has ended: anyone who waits for it waits forever
    (first, _) = get("/v1/cameras").json()["agents"]
    assert "did not respond within" in first["error"]


@pytest.mark.parametrize("path", ["2/gate", "-1/gate", "0/nobody", "0/..%2f..%2fmetrics", "x/gate", "1/gate"])
def test_no_other_address_of_this_machine_is_reached(get, path):
    assert get(f"/v1/cameras/{path}/thumbnail.jpg").status_code == 404


def test_nothing_but_get_is_handed_on(open_endpoint, agent):
    endpoint = open_endpoint(cameras=(agent.url,))
    assert endpoint.http.post("/v1/cameras").status_code == 405


def test_where_keys_are_required_cameras_take_one(guarded):
    assert guarded.http.get("/v1/cameras").status_code == 401
    assert guarded.http.get("/v1/registry").status_code == 401
