"""What an agent says to an endpoint that asks who is there, and what it makes of a refusal."""

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from camera.classifier import Classifier, KeyFile, NoAnswer
from tests.camera.conftest import DOG, closed_later

ENDPOINT = "http://127.0.0.1:8080"


class Door:
    """An endpoint that knows one key, and remembers what it was shown."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.shown: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.shown.append(request.headers.get("authorization"))
        known = self.shown[-1] == f"Bearer {self.key}"
        return httpx.Response(200, json=DOG) if known else httpx.Response(401, json={})


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "key"
    path.write_text("pp_first\n")
    return path


def line(answer: Callable[[httpx.Request], httpx.Response], key: KeyFile | None = None) -> Classifier:
    return closed_later(Classifier(ENDPOINT, key=key, transport=httpx.MockTransport(answer)))


def test_the_key_in_the_file_is_shown_with_every_question_and_read_once(file):
    door = Door("pp_first")
    classifier = line(door, KeyFile(file))
    assert classifier.classify(b"photo").label == "dog"
    file.unlink()
    assert classifier.classify(b"photo").label == "dog"
    assert door.shown == ["Bearer pp_first"] * 2


def test_every_question_names_the_camera_that_the_photo_is_from():
    named: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        named.append(request.headers.get("x-petpark-camera"))
        return Door("")(request)

    for camera in ("gate", None):
        with contextlib.suppress(NoAnswer):
            closed_later(Classifier(ENDPOINT, camera=camera, transport=httpx.MockTransport(answer))).classify(b"photo")
    assert named == ["gate", None]


def test_a_rotated_key_is_read_after_the_first_refusal_without_a_restart(file):
    door = Door("pp_first")
    classifier = line(door, KeyFile(file))
    classifier.classify(b"photo")
    door.key = "pp_second"
    file.write_text("pp_second")
    with pytest.raises(NoAnswer, match="does not know the API key"):
        classifier.classify(b"photo")
    assert classifier.classify(b"photo").label == "dog"


def test_without_a_key_a_refusal_says_which_setting_is_missing():
    with pytest.raises(NoAnswer, match="api_key_file"):
        line(Door("pp_first")).classify(b"photo")


@pytest.mark.parametrize("content", [None, b"", b" \n", b"pp_\xff", b"pp_one\npp_two"])
def test_a_file_without_a_key_asks_nobody_and_says_so(file, content):
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    door = Door("pp_first")
    with pytest.raises(NoAnswer, match="has no readable API key"):
        line(door, KeyFile(file)).classify(b"photo")
    assert door.shown == []


@pytest.mark.parametrize("status", [429, 503])
def test_an_endpoint_that_asks_to_be_left_alone_is(status):
    with pytest.raises(NoAnswer) as refused:
        line(lambda _: httpx.Response(status, headers={"retry-after": "3"})).classify(b"photo")
    assert refused.value.pause == 3


def test_the_key_is_in_no_word_of_a_refusal(file):
    with pytest.raises(NoAnswer) as refused:
        line(Door("pp_other"), KeyFile(file)).classify(b"photo")
    assert "pp_first" not in str(refused.value)


def test_an_endpoint_that_drips_its_answer_is_left_after_the_deadline_for_all_of_it():
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nx-long: ")
            while not stop.wait(0.02):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        classifier = Classifier(f"http://127.0.0.1:{listener.getsockname()[1]}", answer_seconds=0.3)
        with pytest.raises(NoAnswer, match="TimeoutError"):
            classifier.classify(b"photo")
        classifier.close()
        stop.set()
        thread.join()
