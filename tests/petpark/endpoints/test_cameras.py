"""`petpark camera` as an operator meets it, and the agent as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from petpark.__main__ import app
from registry.layout.data_lake import event_key
from registry.store.memory_store import MemoryStore
from tests.moto_cloud import MotoCloud
from tests.petpark.conftest import Place, Run
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
TIMEOUT_SECONDS = 150


class _Dog(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(
            {"label": "dog", "probabilities": {"cat": 0.02, "dog": 0.98}, "model": {"name": "pets", "version": 1}}
        ).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Dog) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def cloud() -> Iterator[MotoCloud]:
    with MotoCloud() as opened:
        yield opened


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(400):
            pixels = np.full((96, 160, 3), 100, dtype=np.uint8)
            pixels[30:60, number % 120 : number % 120 + 30] = 240
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def petpark(*words: str) -> tuple[int, str]:
    said = CliRunner().invoke(app, ["camera", *words])
    return said.exit_code, said.output


def test_an_agent_runs_answers_records_forwards_and_ends_when_it_is_told(endpoint, cloud, film, tmp_path):
    port = str(free_port())
    lake = cloud.make_bucket("lake")
    home = str(tmp_path / "home")
    command = [sys.executable, "-W", "error", "-m", "petpark", "camera", "run", "--source", f"gate={film}"]
    command += ["--endpoint", endpoint, "--home", home, "--port", port, "--data-lake", lake]
    environment = {**os.environ, **cloud.environment, "PYTHONPATH": str(ROOT)}
    agent = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    stop = threading.Timer(TIMEOUT_SECONDS, agent.kill)
    stop.start()
    assert agent.stdout
    assert agent.stderr
    lines = []
    for line in agent.stdout:
        lines.append(json.loads(line))
        if lines[-1]["message"] == "visit began":
            break
    else:
        raise AssertionError((lines, agent.stderr.read()))
    code, said = petpark("status", "--agent", f"http://127.0.0.1:{port}", "--json")
    assert code == 0, said
    (camera,) = json.loads(said)["cameras"]
    assert (camera["state"], camera["visiting"]) == ("live", ["dog"])
    assert "gate" in petpark("status", "--agent", f"http://127.0.0.1:{port}")[1]
    agent.send_signal(signal.SIGTERM)
    lines += [json.loads(line) for line in agent.stdout]
    assert agent.wait(TIMEOUT_SECONDS) == 0, agent.stderr.read()
    stop.cancel()
    agent.stdout.close()
    agent.stderr.close()
    assert lines[-1]["message"] == "agent ended"
    code, said = petpark("events", "--home", home, "--json")
    recorded = json.loads(said)
    assert [event["kind"] for event in recorded["events"]] == ["ended", "began"]
    assert all(event["forwarded"] for event in recorded["events"])
    assert "forwarded" in petpark("events", "--home", home)[1]
    keys = [found.get("Key", "") for found in cloud.client("s3").list_objects_v2(Bucket=lake).get("Contents", [])]
    assert len([key for key in keys if key.startswith("events/gate/")]) == 2
    assert len([key for key in keys if key.startswith("event-pictures/gate/")]) == 2


def test_frames_without_visitors_are_collected_and_counted(film, tmp_path):
    words = ("collect", "--source", f"gate={film}", "--out", str(tmp_path / "empty"), "--every", "0", "--still", "0")
    code, said = petpark(*words, "--count", "2", "--json")
    assert code == 0, said
    assert json.loads(said)["cameras"]["gate"]["written"] == 2
    assert len(list((tmp_path / "empty" / "background").glob("gate-*.jpg"))) == 2
    assert (tmp_path / "empty" / "background.csv").read_text().startswith("key,label,camera,captured_at\n")


def test_a_folder_that_takes_no_frames_is_said(film, tmp_path):
    (tmp_path / "file").write_text("")
    code, said = petpark(
        "collect", "--source", f"gate={film}", "--out", str(tmp_path / "file"), "--every", "0", "--still", "0"
    )
    assert code != 0
    assert "--out FOLDER" in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run"], 2, "No camera is named"),
        (["collect", "--out", "empty"], 2, "No camera is named"),
        (["run", "--source", "gate"], 2, "NAME=ADDRESS"),
        (["run", "--config", "/absent.yaml"], 2, "/absent.yaml: No such file"),
        (["run", "--source", "gate=/x", "--endpoint", "nowhere"], 2, "such as http://127.0.0.1:8080"),
        (["run", "--source", "gate=/x", "--blur", "little"], 2, "found or everything"),
        (["status", "--agent", "http://127.0.0.1:9"], 1, "petpark camera run"),
        (["status", "--agent", "nonsense"], 1, "petpark camera run"),
        (["events", "--home", "/absent"], 2, "no camera agent has recorded there"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(words, code, said):
    found, output = petpark(*words)
    assert (found, said in output) == (code, True), output
    assert "Traceback" not in output


def put(lake: MemoryStore, sequence: int, *, day: str = "2026-11-26", camera: str = "gate", **changes: object) -> None:
    event = {
        "id": f"{sequence:032x}", "kind": "began", "visit": "v", "camera": camera, "label": "dog", "score": 0.91,
        "at": f"{day}T10:00:00.000000Z", "seconds": 1.2, "why": None, "clock": "arrival", "model": {"version": 3},
        "sequence": sequence, "recorded_at": f"{day}T10:00:{sequence:02}.000000Z", "picture": None,
    }  # fmt: skip
    lake.create(event_key(camera, day, str(event["id"])), json.dumps({**event, **changes}).encode())


def test_what_reached_the_lake_is_listed_by_camera_and_day_the_newest_first(place: Place, run: Run):
    lake = place.buckets["lake"] = MemoryStore()
    put(lake, 2, kind="ended", why="left", seconds=4.0)
    put(lake, 1)
    put(lake, 3, day="2026-11-25")
    put(lake, 4, camera="pond")
    words = ("camera", "events", "--camera", "gate", "--lake", "--day", "2026-11-26")
    assert [event["sequence"] for event in json.loads(run(*words, "--json").stdout)] == [2, 1]
    (newest,) = json.loads(run(*words, "--count", "1", "--json").stdout)
    assert newest["why"] == "left"
    assert "in the lake" in run(*words).stdout
    said = run("camera", "events", "--camera", "moon", "--lake", "--day", "2026-11-26").stdout
    assert "No events of camera moon in the data lake on 2026-11-26" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lake",), "requires --camera"),
        (("--lake", "--camera", "gate", "--home", "/x"), "excludes --home"),
        (("--camera", "gate", "--day", "2026-11-26"), "--day requires --lake"),
    ],
)
def test_the_lake_is_asked_by_camera_and_day(run: Run, words: tuple[str, ...], said: str):
    told = run("camera", "events", *words)
    assert told.exit_code == 2
    assert said in " ".join(told.stderr.split())


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{}", b"\xff"])
def test_an_object_that_is_no_event_is_a_row_that_names_it(place: Place, run: Run, body: bytes):
    lake = place.buckets["lake"] = MemoryStore()
    put(lake, 1)
    lake.create(event_key("gate", "2026-11-26", "foreign"), body)
    told = run("camera", "events", "--camera", "gate", "--lake", "--day", "2026-11-26")
    assert told.exit_code == 0
    assert "unreadable: events/gate/2026-11-26/foreign.json" in told.stdout
    assert told.stdout.count("in the lake") == 1, "what can be read is listed all the same"
