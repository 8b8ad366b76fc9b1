"""The endpoint as it runs in the park: its own process, real HTTP, and S3 and KMS by HTTP too."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from registry.layout.model_store import Prefix, object_prefix
from tests.moto_cloud import MotoCloud
from tests.ports import free_port
from tests.serving.process import TIMEOUT_SECONDS, Registry, running, running_program


@pytest.fixture(scope="module")
def cloud() -> Iterator[MotoCloud]:
    with MotoCloud() as opened:
        yield opened


@pytest.fixture
def registry(cloud, tmp_path, make_version_files) -> Registry:
    return Registry(cloud, tmp_path, make_version_files)


def test_an_endpoint_starts_on_an_empty_channel_and_follows_it_from_there(cloud, registry, make_photo):
    with running(cloud, registry) as endpoint:
        endpoint.wait_for("listening")
        assert httpx.get(f"{endpoint.url}/healthz/live").status_code == 200
        assert httpx.get(f"{endpoint.url}/healthz/ready").status_code == 503
        registry.release(4.0)
        endpoint.wait_for("version active", version=1)
        assert httpx.get(f"{endpoint.url}/healthz/ready").status_code == 200
        answer = httpx.post(f"{endpoint.url}/v1/classify", content=make_photo(), headers={"content-type": "image/jpeg"})
        assert (answer.json()["label"], answer.json()["model"]["version"]) == ("cat", 1)
        registry.release(5.0)
        endpoint.wait_for("version active", version=2, before=1)
        registry.channel.roll_back(by="otto", why="test")
        endpoint.wait_for("version active", version=1, entry=3)
        model = httpx.get(f"{endpoint.url}/v1/model").json()
        assert (model["version"], model["entry"]) == (1, 3)
        assert "by" not in model["certificate"], "names of people are for callers with a key"
        assert endpoint.end() == 0


def test_sigterm_lets_requests_under_way_finish_and_turns_balancers_away_first(cloud, registry, make_photo):
    registry.release(4.0)
    body = make_photo()
    with running(cloud, registry) as endpoint:
        endpoint.wait_for("version active", version=1)
        with socket.create_connection(("127.0.0.1", httpx.URL(endpoint.url).port or 0), TIMEOUT_SECONDS) as line:
            line.sendall(
                b"POST /v1/classify HTTP/1.1\r\nHost: park\r\nContent-Type: image/jpeg\r\n"
                + f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body[:100]
            )
            while "petpark_requests_in_flight 2.0" not in httpx.get(f"{endpoint.url}/metrics").text:
                assert endpoint.process.poll() is None
            endpoint.process.send_signal(signal.SIGTERM)
            endpoint.wait_for("draining")
            assert httpx.get(f"{endpoint.url}/healthz/ready").status_code == 503
            line.sendall(body[100:])
            answer = line.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer
        assert b'"label": "cat"' in answer
        assert endpoint.process.wait(TIMEOUT_SECONDS) == 0
        assert endpoint.wait_for("drained")["cut_off"] == 0


STUCK = """
import runpy, threading
from serving.release.traffic_split import TrafficSplit
from serving.settings import Limits
Limits.__init__.__kwdefaults__.update(drain_notice_seconds=0, drain_seconds=0.1, end_seconds=0.5)
TrafficSplit.classify = lambda *_, **__: threading.Event().wait()
runpy.run_module("serving", run_name="__main__")
"""
"""An endpoint whose threads never come back, and that has little patience at its end."""


def test_the_process_ends_in_time_whatever_its_threads_do_and_says_whom_it_cut_off(cloud, registry, make_photo):
    registry.release(4.0)
    body = make_photo()
    head = "POST /v1/classify HTTP/1.1\r\nHost: park\r\nContent-Type: image/jpeg\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    with running_program(("-c", STUCK), cloud, registry, {}) as endpoint, ExitStack() as held:
        endpoint.wait_for("version active", version=1)
        port = httpx.URL(endpoint.url).port or 0
        for _ in range(2):
            line = held.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS))
            line.sendall(head.encode() + body)
        while "petpark_requests_in_flight 3.0" not in httpx.get(f"{endpoint.url}/metrics").text:
            assert endpoint.process.poll() is None
        assert endpoint.end() == 0
        drained = endpoint.wait_for("drained")
        assert (drained["cut_off"], drained["unfinished_work"]) == (2, 2)


def test_callers_that_break_off_or_break_http_are_not_counted_as_failures(cloud, registry, make_photo):
    registry.release(4.0)
    with running(cloud, registry) as endpoint:
        endpoint.wait_for("version active", version=1)
        port = httpx.URL(endpoint.url).port or 0
        head = "POST {} HTTP/1.1\r\nHost: park\r\nContent-Type: {}\r\n"
        forms = {
            "/v1/classify": "image/jpeg",
            "/v1/classify/batch": "multipart/form-data; boundary=edge",
            "/v2/models/pets/infer": "application/json",
        }
        for path, kind in forms.items():
            for rest in (
                b"Content-Length: 100000\r\n\r\n" + b"x" * 5_000,
                b"Transfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n",
                b"Transfer-Encoding: chunked\r\n\r\n5\r\nxxxxx\r\n-1\r\n",
            ):
                with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as line:
                    line.sendall(head.format(path, kind).encode() + rest)
                    line.shutdown(socket.SHUT_WR)
                    assert b" 500 " not in line.makefile("rb").readline()
        assert 'status="5' not in httpx.get(f"{endpoint.url}/metrics").text
        answer = httpx.post(f"{endpoint.url}/v1/classify", content=make_photo(), headers={"content-type": "image/jpeg"})
        assert answer.status_code == 200
        assert endpoint.end() == 0
    assert not [line for line in endpoint.lines if line["message"] == "request failed"]


def exchange(port: int, *parts: bytes) -> bytes:
    """What comes back for these bytes, to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as line:
        with suppress(ConnectionError):  # the answer may come before all of it is sent
            for part in parts:
                line.sendall(part)
        got = b""
        with suppress(ConnectionError):
            while more := line.recv(65536):
                got += more
        return got


def test_somebody_who_takes_every_connection_takes_none_from_others(cloud, registry, make_photo):
    registry.release(4.0)
    health = free_port()
    with running(cloud, registry, PETPARK_HEALTH_PORT=str(health)) as endpoint, ExitStack() as held:
        endpoint.wait_for("version active", version=1)
        port = httpx.URL(endpoint.url).port or 0
        lines = [
            held.enter_context(
                socket.create_connection(("127.0.0.1", at), TIMEOUT_SECONDS, source_address=("127.0.0.2", 0))
            )
            for at in [port] * 1100 + [health] * 80
        ]
        for number, line in enumerate(lines):
            with suppress(ConnectionError):  # cut off already
                line.sendall((b"", b"G", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")[number % 3])
        with httpx.Client(timeout=TIMEOUT_SECONDS) as caller:
            kind = {"content-type": "image/jpeg"}
            assert caller.post(f"{endpoint.url}/v1/classify", content=make_photo(), headers=kind).status_code == 200
            probes = f"http://127.0.0.1:{health}"
            assert caller.get(f"{probes}/healthz/in-service").status_code == 200
            while 'petpark_connections_closed_total{reason="peer"}' not in caller.get(f"{probes}/metrics").text:
                assert endpoint.process.poll() is None, "it looks at its connections some times a second"
            assert caller.get(f"{probes}/v1/model").status_code == 404
        assert endpoint.end() == 0


FEW_FILES = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
runpy.run_module("serving", run_name="__main__")
"""
"""An endpoint whose system allows few open files, an eighth of which are callers' connections to a port."""


def test_with_few_open_files_there_are_fewer_connections_and_good_callers_are_answered(cloud, registry, make_photo):
    registry.release(4.0)
    with running_program(("-c", FEW_FILES), cloud, registry, {}) as endpoint, ExitStack() as held:
        endpoint.wait_for("version active", version=1)
        port = httpx.URL(endpoint.url).port or 0
        for number in range(120):
            at = (f"127.0.0.{2 + number % 8}", 0)
            held.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS, source_address=at))
        kind = {"content-type": "image/jpeg"}
        with httpx.Client(timeout=TIMEOUT_SECONDS) as caller:
            assert caller.post(f"{endpoint.url}/v1/classify", content=make_photo(), headers=kind).status_code == 200
            while 'petpark_connections_closed_total{reason="all"}' not in caller.get(f"{endpoint.url}/metrics").text:
                assert endpoint.process.poll() is None, "it looks at its connections some times a second"
            assert caller.post(f"{endpoint.url}/v1/classify", content=make_photo(), headers=kind).status_code == 200


def test_requests_that_break_http_get_a_400_of_ours(cloud, registry):
    registry.release(4.0)
    with running(cloud, registry) as endpoint:
        endpoint.wait_for("version active", version=1)
        port = httpx.URL(endpoint.url).port or 0
        get = b"GET /healthz/live HTTP/1.1\r\nConnection: close\r\n"
        post = b"POST /v1/classify HTTP/1.1\r\nHost: park\r\nContent-Type: image/jpeg\r\n"
        post += b"Transfer-Encoding: chunked\r\n\r\n"
        trailers = b"".join(b"x-%d: 1\r\n" % number for number in range(30_000))
        bad = [
            (get, b"\r\n"),
            (get, b"Host: a\r\nHost: b\r\n\r\n"),
            (get, b"Host: a b\r\n\r\n"),
            (post, b"5;" + b"a" * 65_536 + b"\r\nhello\r\n0\r\n\r\n"),
            (post, b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"),
        ]
        for parts in bad:
            answer = exchange(port, *parts)
            assert answer.startswith(b"HTTP/1.1 400 "), (parts[1][:20], answer[:200])
            assert b"x-request-id" in answer
            assert b"/docs#bad-request" in answer
        assert exchange(port, b"GET /healthz/live HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200 ")
        assert not exchange(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").startswith(b"HTTP/2")


def test_an_endpoint_outlives_its_store(cloud, registry, make_photo):
    registry.release(4.0)
    with running(cloud, registry) as endpoint:
        endpoint.wait_for("version active", version=1)
        cloud.off()
        endpoint.wait_for("cannot read the channel; still serving the active version")
        answer = httpx.post(f"{endpoint.url}/v1/classify", content=make_photo(), headers={"content-type": "image/jpeg"})
        assert answer.json()["model"]["version"] == 1
        assert httpx.get(f"{endpoint.url}/healthz/ready").status_code == 200
        cloud.on()
        endpoint.wait_for("channel readable again")
        assert endpoint.end(signal.SIGINT) == 0


def test_a_revocation_reaches_a_running_endpoint_and_one_that_starts_after_it(cloud, registry, make_photo):
    registry.release(4.0)
    registry.release(5.0)
    with running(cloud, registry) as endpoint:
        endpoint.wait_for("version active", version=2)
        registry.decide(registry.catalog.version(2), "revoked")
        endpoint.wait_for("version withdrawn", version=2)
        endpoint.wait_for("version active", version=1, instead_of=2)
        answer = httpx.post(f"{endpoint.url}/v1/classify", content=make_photo(), headers={"content-type": "image/jpeg"})
        assert answer.json()["model"]["version"] == 1
    with running(cloud, registry) as endpoint:
        endpoint.wait_for("version active", version=1, instead_of=2)
        model = httpx.get(f"{endpoint.url}/v1/model").json()
        assert (model["version"], model["refused"]["version"]) == (1, 2)


def test_a_restart_needs_no_file_from_the_store(cloud, registry, tmp_path):
    home = str(tmp_path / "home")
    registry.release(4.0)
    with running(cloud, registry, PETPARK_HOME=home) as endpoint:
        endpoint.wait_for("version active", version=1)
    for blob in list(registry.store.keys(object_prefix("pets", Prefix.BLOBS))):
        registry.store.delete(blob)
    with running(cloud, registry, PETPARK_HOME=home) as endpoint:
        endpoint.wait_for("version active", version=1)
    with running(cloud, registry, PETPARK_HOME=str(tmp_path / "another")) as endpoint:
        endpoint.wait_for("version refused", version=1, reason="FileCorrupted")


def test_an_environment_that_is_not_usable_is_said_in_a_line_and_ends_with_2(cloud, registry):
    with running(cloud, registry, PETPARK_MODEL="") as endpoint:
        assert endpoint.process.wait(TIMEOUT_SECONDS) == 2
        assert endpoint.process.stderr
        message = endpoint.process.stderr.read()
        assert message.count("\n") == 1
        assert "PETPARK_MODEL is not set" in message


def test_a_port_in_use_is_named_and_ends_with_2(cloud, registry):
    with running(cloud, registry) as first:
        first.wait_for("listening")
        port = str(httpx.URL(first.url).port)
        with running(cloud, registry, PETPARK_PORT=port) as second:
            assert second.process.wait(TIMEOUT_SECONDS) == 2
            assert second.process.stderr
            assert f"127.0.0.1:{port}" in second.process.stderr.read()


def test_a_thread_that_works_in_python_lets_the_event_loop_have_its_turn_soon():
    """With Python's own 5 ms, a bad photo of 7 MB made each of the loop's turns wait for as long."""
    text = (
        "import sys, serving.__main__ as endpoint\n"
        "endpoint._serve = lambda _settings: print('every', sys.getswitchinterval())\n"
        "endpoint.ServingSettings.from_environment = lambda _environment: None\n"
        "sys.exit(endpoint.main())"
    )
    done = subprocess.run([sys.executable, "-c", text], check=True, timeout=60, capture_output=True, text=True)
    assert "every 0.0005" in done.stdout
