"""The whole agent, in this process: real threads, a real RTSP server, the real spool."""

import json
import threading
import time
from pathlib import Path

import httpx
import pytest

from camera.agent import Agent
from camera.capture.camera import Camera, State
from camera.delivery.spool import Spool, SpoolInUse, read_events
from camera.settings import AgentSettings, parse_settings
from registry.store.memory_store import MemoryStore
from tests.camera.conftest import DOG, TIMEOUT_SECONDS, VIDEO, line_to, wait_until
from tests.camera.stage import LastFrame, Stage, Visitor, dog, moving

QUICK = {"confirm_seconds": 0.5, "leave_seconds": 1.0}


def settings_of(home: Path, *urls: str, **more: object) -> AgentSettings:
    cameras = [{"name": f"camera-{number}", "url": url, **QUICK} for number, url in enumerate(urls, start=1)]
    return parse_settings({"home": str(home), "cameras": cameras, **more}, where="the test")


def test_a_camera_whose_server_dies_is_lost_comes_back_and_every_visit_is_in_the_lake(rtsp, videos, tmp_path, caplog):
    store = MemoryStore()
    settings = settings_of(tmp_path, rtsp.url(), str(videos / VIDEO), data_lake="lake")
    agent = Agent(settings, store=store, connect=lambda *_: line_to(dog))
    agent.start()
    gate, film = agent.cameras
    wait_until(lambda: gate.log.visits == 1, "a visit")
    rtsp.kill()
    wait_until(lambda: gate.state is State.LOST, "the loss")
    assert gate.counts["received"]
    wait_until(lambda: not gate.log.visiting, "the end of the visit")
    rtsp.start()
    wait_until(lambda: gate.log.visits == 2, "a visit after the return")
    wait_until(lambda: film.state is State.ENDED, "the end of the film")
    said = json.dumps(agent.to_dict())
    metrics = agent.measure().decode()
    agent.stop()
    assert "secret" not in said + caplog.text
    assert 'petpark_camera_losses_total{camera="camera-1"}' in metrics
    recorded = [found.event for found in read_events(tmp_path, count=99)[0]][::-1]
    visits = [event for event in recorded if event.camera == "camera-1"]
    assert [(event.kind, event.why) for event in visits] == [
        ("began", None),
        ("ended", "unseen"),
        ("began", None),
        ("ended", "stopped"),
    ]
    assert [event.kind for event in recorded if event.camera == "camera-2"] == ["began", "ended"]
    lake = [json.loads(store.get(key)) for key in store.keys("events/")]
    assert sorted(fact["sequence"] for fact in lake) == list(range(1, len(recorded) + 1))
    assert len(list(store.keys("event-pictures/"))) == len(recorded)
    assert all(fact["model"]["version"] == 3 for fact in lake)


@pytest.fixture(autouse=True)
def once(monkeypatch):
    """A stage is played once: no connection is made anew."""

    read = Camera.read

    def read_once(self, stop):
        if self.settings.url != "rtsp://nowhere":
            return read(self, stop)
        with pytest.raises(LastFrame):
            self._read_once(stop)
        return None

    monkeypatch.setattr(Camera, "read", read_once)


def test_a_dog_for_a_hundred_frames_is_one_visit_with_its_picture(tmp_path, hands):
    stage = Stage(tmp_path, hands)
    stage.frames = [moving(number) for number in range(100)]
    stage.play()
    events = [unblurred.event for unblurred in stage.recorded]
    assert [(event.kind, event.label) for event in events] == [("began", "dog"), ("ended", "dog")]
    assert events[0].visit == events[1].visit
    assert stage.recorded[0].photo.startswith(b"\xff\xd8")
    assert 18 < events[1].seconds < 20


@pytest.mark.parametrize(("answer", "kinds"), [("neither", []), ("dog", ["began", "ended"])])
def test_what_moves_and_is_neither_is_no_visit(tmp_path, hands, answer, kinds):
    stage = Stage(tmp_path, hands, lambda _: httpx.Response(200, json=DOG | {"abstention": {"answer": answer}}))
    stage.frames = [moving(number) for number in range(30)]
    stage.play()
    assert stage.camera.counts["classified"] == 30
    assert [unblurred.event.kind for unblurred in stage.recorded] == kinds


def test_a_visit_ends_once_the_answers_are_neither(tmp_path, hands):
    def answer(_request: httpx.Request) -> httpx.Response:
        told = "neither" if hands.monotonic() > 6 else "dog"
        return httpx.Response(200, json=DOG | {"abstention": {"answer": told}})

    stage = Stage(tmp_path, hands, answer)
    stage.frames = [moving(number) for number in range(100)]
    stage.play()
    began, ended = (unblurred.event for unblurred in stage.recorded)
    assert (began.kind, ended.kind, ended.why) == ("began", "ended", "left")
    assert ended.seconds < 8


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_when_the_machines_clock_jumps_a_visit_stays_one_and_keeps_its_length(tmp_path, hands, jump):
    stage = Stage(tmp_path, hands)
    frames = [moving(number) for number in range(60)]
    take = stage.camera._take

    def jumping(frame, times):
        if frame is frames[29]:
            hands.set_wall(hands.wall() + jump)
        take(frame, times)

    stage.camera._take = jumping
    stage.frames = list(frames)
    stage.play()
    began, ended = (unblurred.event for unblurred in stage.recorded)
    assert began.visit == ended.visit
    assert 11 < ended.seconds < 12
    assert stage.metric("petpark_camera_skewed_frames_total", camera="gate", clock="machine") == 1


def test_a_camera_with_a_wrong_clock_is_counted_and_its_events_bear_the_arrival(tmp_path, hands):
    stage = Stage(tmp_path, hands)
    wall = hands.wall()
    stage.frames = [moving(number, camera=wall - 3600) for number in range(20)]
    stage.play()
    event = stage.recorded[0].event
    assert event.clock == "arrival"
    assert event.at.startswith(time.strftime("%Y-%m-%dT%H:%M", time.gmtime(wall)))
    assert stage.metric("petpark_camera_skewed_frames_total", camera="gate", clock="camera") == 20
    assert stage.metric("petpark_camera_skew_seconds", camera="gate") < -3590


def test_a_camera_with_a_right_clock_is_believed(tmp_path, hands):
    stage = Stage(tmp_path, hands)
    wall = hands.wall()
    stage.frames = [moving(number, camera=wall + 0.2 * number - 1.5) for number in range(20)]
    stage.play()
    assert stage.recorded[0].event.clock == "camera"


def test_damaged_frames_are_counted_and_never_asked_about(tmp_path, hands):
    stage = Stage(tmp_path, hands)
    stage.frames = [moving(1), None, moving(2, damaged=True), None, moving(3)]
    stage.play()
    assert stage.camera.counts["damaged"] == 3
    assert stage.camera.counts["received"] == 2


def test_a_camera_is_live_by_whole_frames_alone_whatever_the_thread_that_reads_does(tmp_path, hands):
    stage = Stage(tmp_path, hands)
    playing = stage.camera._read_once
    stage.frames = [None, moving(1, damaged=True)]
    playing(threading.Event())
    assert stage.camera.state is State.CONNECTING
    stage.patient = False
    stage.frames = [moving(1), None]
    playing(threading.Event())
    assert stage.camera.state is State.LIVE
    hands.pass_seconds(60)  # FFmpeg did not return: the thread still stands in its loop
    assert stage.camera.state is State.LOST
    assert "no whole frame" in stage.camera.reason


def test_under_load_the_newest_frame_wins_and_the_others_are_counted(tmp_path, hands):
    inside, go_on = threading.Event(), threading.Event()

    def slow(_request):
        inside.set()
        go_on.wait(60)
        return httpx.Response(200, json=DOG)

    stage = Stage(tmp_path, hands, slow)
    stage.patient = False
    frames = [moving(number) for number in range(30)]
    take = stage.camera._take

    def released(frame, times):
        take(frame, times)
        if frame is frames[1]:
            inside.wait(60)
        if frame is frames[-1]:
            go_on.set()

    stage.camera._take = released
    stage.frames = list(frames)
    stage.play()
    assert stage.camera.counts["replaced"] >= 25
    assert stage.camera.last is not None
    assert stage.camera.last.image is frames[-1].image


def test_an_endpoint_that_is_away_or_busy_costs_frames_and_is_left_alone_as_it_asks(tmp_path, hands):
    asked = []

    def busy(request):
        asked.append(request)
        if len(asked) > 1:
            raise httpx.ConnectError("refused")
        return httpx.Response(503, headers={"retry-after": "2"}, json={})

    stage = Stage(tmp_path, hands, busy)
    stage.frames = [moving(number) for number in range(20)]
    stage.play()
    assert stage.camera.counts["unanswered"] >= 19
    assert 5 <= len(asked) <= 12
    assert stage.recorded == []


def test_an_endpoint_that_goes_away_and_comes_back_is_told_once_each(tmp_path, hands, caplog):
    asked = []

    def away_for_three(request):
        asked.append(request)
        if 2 <= len(asked) <= 4:
            raise httpx.ConnectError("refused")
        return dog(request)

    caplog.set_level("INFO", logger="camera.capture.camera")
    stage = Stage(tmp_path, hands, away_for_three)
    stage.frames = [moving(number) for number in range(20)]
    stage.play()
    told = [record.message for record in caplog.records if "endpoint" in record.message]
    assert told == ["endpoint unreachable; dropping frames", "endpoint reachable again"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"label": "dog", "probabilities": [1], "model": {}}'])
def test_what_is_no_endpoint_is_no_answer(tmp_path, hands, body):
    stage = Stage(tmp_path, hands, lambda _: httpx.Response(200, content=body))
    stage.frames = [moving(1), moving(2)]
    stage.play()
    assert stage.camera.counts["unanswered"] == 2 - stage.camera.counts["still"]


def test_the_status_shows_cameras_and_only_pictures_as_they_may_be_stored(videos, tmp_path):
    agent = Agent(
        settings_of(tmp_path, str(videos / VIDEO), blur="everything"), store=None, connect=lambda *_: line_to(dog)
    )
    client = Visitor(agent)
    assert client.get("/v1/cameras/camera-1/thumbnail.jpg").status_code == 404
    agent.start()
    wait_until(lambda: agent.cameras[0].last, "an answer")
    answer = client.get("/v1/cameras")
    (camera,) = answer.json()["cameras"]
    picture = client.get(camera["last_frame"]["thumbnail"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert len(picture.content) < 4000
    assert "access-control-allow-origin" not in answer.headers
    assert "petpark_camera_frames_total" in client.get("/metrics").text
    assert client.get("/v1/cameras", host="evil.example").status_code == 400
    agent.stop()


def test_an_agent_that_stops_keeps_the_spool_open_until_the_last_event_is_written(videos, tmp_path):
    searching, go_on = threading.Event(), threading.Event()

    def slow_search(_pixels):
        searching.set()
        assert go_on.wait(TIMEOUT_SECONDS)
        return []

    settings = settings_of(tmp_path, str(videos / VIDEO))
    agent = Agent(settings, store=None, connect=lambda *_: line_to(dog), detector=slow_search)
    agent.start()
    try:
        assert searching.wait(TIMEOUT_SECONDS)
        assert not agent.stop(timeout=0)
        with pytest.raises(SpoolInUse):
            Spool(tmp_path, max_bytes=1 << 20)
    finally:
        go_on.set()
    assert agent.stop(timeout=TIMEOUT_SECONDS)
    assert [found.event.kind for found in read_events(tmp_path, count=9)[0]] == ["ended", "began"]
    assert not agent.metrics.registry.get_sample_value("petpark_camera_unrecorded_events_total", {"camera": "camera-1"})
    for address in ("/v1/cameras", "/metrics"):
        assert Visitor(agent).get(address).status_code == 503
    Spool(tmp_path, max_bytes=1 << 20).close()
