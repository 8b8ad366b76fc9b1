"""An endpoint as its own process, with keys and gRPC, met by a public client, and by callers with bad manners."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from serving.auth.key_log import KeyLog
from serving.auth.key_polling import KeyRing
from serving.auth.key_record import hash_of
from serving.telemetry import Metrics
from tests.ports import free_port
from tests.serving import test_process
from tests.serving.process import TIMEOUT_SECONDS, running

cloud, registry = test_process.cloud, test_process.registry  # fixtures
KEYS = "api_keys/prod/"


@pytest.fixture
def key(registry, parameters) -> str:
    made = parameters.create("camera", rate=100, burst=100)
    record = parameters.log.latest().records["camera"]
    KeyLog(registry.store, KEYS).change(lambda _: {"camera": record}, by="mia", what="create")
    return made


def test_a_public_client_gets_its_answers_over_http_and_over_grpc(cloud, registry, key):
    registry.release(4.0)
    port = free_port()
    settings = {"PETPARK_API_KEYS": "required", "PETPARK_API_KEYS_PREFIX": KEYS, "PETPARK_GRPC_PORT": str(port)}
    with running(cloud, registry, **settings) as endpoint:
        endpoint.wait_for("listening for gRPC")
        endpoint.wait_for("version active", version=1)
        while httpx.get(f"{endpoint.url}/v1/model").json()["api_keys"]["known"] != 1:
            assert endpoint.process.poll() is None
        client = Path(__file__).parents[1] / "triton_client.py"
        command = [sys.executable, str(client), endpoint.url.removeprefix("http://"), f"127.0.0.1:{port}", key]
        output = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_SECONDS).stdout)
        assert output["http"]["without_key"] == "401"
        assert output["grpc"]["without_key"] == "StatusCode.UNAUTHENTICATED"
        for side in output.values():
            assert [side["live"], side["ready"], side["model_ready"], side["stranger_ready"]] == [True] * 3 + [False]
            assert side["model"] == {"name": "pets", "versions": ["1"]}
            (cat, _), (not_cat, _) = side["probabilities"]
            assert cat > 0.9 > 0.1 > not_cat
            assert side["embedding"] == [2, 3]
        assert output["http"]["probabilities"] == output["grpc"]["probabilities"]
        requests = 'petpark_requests_total{route="/inference.GRPCInferenceService/ModelInfer",status="200"} 1.0'
        assert requests in httpx.get(f"{endpoint.url}/metrics").text
        log = json.dumps(endpoint.lines)
        assert key not in log
        assert hash_of(key) not in log
        assert endpoint.end() == 0


def test_callers_with_bad_manners_get_nothing_and_others_their_answer(cloud, registry, make_photo):
    registry.release(4.0)
    with running(cloud, registry) as endpoint:
        endpoint.wait_for("version active", version=1)
        address = ("127.0.0.1", httpx.URL(endpoint.url).port or 0)
        with (
            socket.create_connection(address, TIMEOUT_SECONDS) as slow,
            socket.create_connection(address, TIMEOUT_SECONDS) as many,
        ):
            slow.sendall(b"GET /healthz/live HTTP/1.1\r\nHost: park\r\nX-Never")
            many.sendall(b"GET /healthz/live HTTP/1.1\r\nHost: park\r\n")
            lines = b"".join(b"x-%d: %d\r\n" % (number, number) for number in range(10_000))
            try:
                many.sendall(lines + b"\r\n")
                refused = many.recv(100)
            except ConnectionError:
                refused = b""
            assert refused == b"" or refused.startswith(b"HTTP/1.1 4"), refused
            answer = httpx.post(
                f"{endpoint.url}/v1/classify", content=make_photo(), headers={"content-type": "image/jpeg"}
            )
            assert answer.json()["label"] == "cat"
            # Anyone who never ends their header lines is cut off, with a 408 or without a word.
            end = slow.recv(100)
            assert end == b"" or end.startswith(b"HTTP/1.1 408"), end
        assert endpoint.end() == 0


def test_keys_are_read_again_until_the_end_and_soon_after_a_start_without_a_store(parameters):
    ring = KeyRing(parameters.log, metrics=Metrics())
    read, stop = threading.Semaphore(0), threading.Event()
    refresh = ring.refresh

    def counted() -> bool:
        answered = refresh()
        read.release()
        return answered

    ring.refresh = counted  # pyright: ignore[reportAttributeAccessIssue]
    parameters.away = True
    thread = threading.Thread(target=ring.run, args=(stop,), kwargs={"poll_seconds": 0.01})
    thread.start()
    try:
        assert read.acquire(timeout=60)
        assert not ring.usable
        parameters.away = False
        key = parameters.create()
        for _ in range(3):
            assert read.acquire(timeout=60)
        assert ring.find(key) is not None
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
