"""The emulator's process: where it listens, how it fails, what it leaves."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rehearsal import emulator as module
from rehearsal.emulator import DiskFull, Emulator, EmulatorFailed, EmulatorMissing, NotLoopback, PortInUse
from rehearsal.emulators import Product

IDLE_SECONDS = 6.0  # the server's own limit was 5
REQUEST = (
    b"POST / HTTP/1.1\r\nHost: emulator\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 43\r\n"
    b"Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/sts/aws4_request, "
    b"SignedHeaders=host, Signature=none\r\n\r\nAction=GetCallerIdentity&Version=2011-06-15"
)


def running(group: int) -> list[str]:
    """Processes of a process group that have not ended."""
    found: list[str] = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = status.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, process_group = rest.split()[:3]
        if int(process_group) == group and state not in "ZX":
            found.append(name)
    return found


@pytest.fixture
def one_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start quickly: call one service instead of all."""
    monkeypatch.setattr(module, "CHECKS", module.CHECKS[:1])


def test_nothing_is_left_after_the_end_but_the_log(tmp_path: Path, one_check: None, product: Product) -> None:
    directory = tmp_path / "emulator"
    with Emulator(directory, product=product) as emulator:
        group = emulator.pid
        assert group is not None
        emulator.client("s3").create_bucket(
            Bucket="left", CreateBucketConfiguration={"LocationConstraint": emulator.region}
        )
        emulator.client("s3").put_object(Bucket="left", Key="k", Body=b"x" * 2**20)
        assert running(group)
    assert running(group) == []
    assert [path.name for path in directory.iterdir()] == ["emulator.log"]


def test_it_dies_with_its_parent_however_that_ends(tmp_path: Path, product: Product) -> None:
    program = (
        "import sys; from pathlib import Path; from rehearsal import emulator, emulators; "
        "emulator.CHECKS = emulator.CHECKS[:1]; "
        f"product = emulators.EMULATORS[{product.key!r}]; "
        f"started = emulator.Emulator(Path({str(tmp_path)!r}), product=product).start(); "
        "print(started.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=module.REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        watched = os.pidfd_open(group)
        try:
            parent.send_signal(signal.SIGKILL)
            ended, _, _ = select.select([watched], [], [], 10)
        finally:
            os.close(watched)
        assert ended
    assert running(group) == []


def test_a_port_in_use_is_named_with_the_way_out(tmp_path: Path, product: Product) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"Port {port} on 127.0.0.1 is in use.*--port"):
            Emulator(tmp_path, product=product, port=port).start()


def test_it_listens_on_loopback_only(tmp_path: Path, emulator: Emulator, product: Product) -> None:
    with pytest.raises(NotLoopback, match="loopback only"):
        Emulator(tmp_path, product=product, host="0.0.0.0")
    port = int(emulator.url.rpartition(":")[2])
    sockets = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    listening = [line.split()[1] for line in sockets.splitlines() if line.split()[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_a_missing_environment_names_the_command_that_makes_it(tmp_path: Path, product: Product) -> None:
    with pytest.raises(EmulatorMissing, match=product.setup):
        Emulator(tmp_path, product=product, python=tmp_path / "none").start()


def test_too_little_space_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, product: Product
) -> None:
    monkeypatch.setattr(module, "SPACE_NEEDED", 2**60)
    with pytest.raises(DiskFull, match="choose another directory"):
        Emulator(tmp_path, product=product).start()


def test_an_end_while_starting_shows_the_end_of_the_log(tmp_path: Path, product: Product) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho it is broken >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(EmulatorFailed, match="it is broken"):
        Emulator(tmp_path / "emulator", product=product, python=broken).start()


def test_silence_while_starting_ends_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, product: Product
) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 1.0)
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    starting = Emulator(tmp_path / "emulator", product=product, python=silent)
    with pytest.raises(EmulatorFailed, match=r"sts.get_caller_identity failed or did not answer within 1 s"):
        starting.start()
    assert starting.pid is None


def test_it_reaches_for_nothing_outside_this_machine(emulator: Emulator) -> None:
    assert "petpark: refused" not in emulator.log.read_text()


@pytest.mark.parametrize("call", ["create_connection(('192.0.2.1', 80), 1)", "gethostbyname('example.org')"])
def test_what_it_might_reach_for_is_refused(tmp_path: Path, call: str, product: Product) -> None:
    program = f"import socket; from petpark_emulator import loopback_only; loopback_only.apply(); socket.{call}"
    python = Emulator(tmp_path, product=product).python
    tried = subprocess.run(
        [python, "-c", program], env={"PYTHONPATH": str(module.PLUGIN)}, capture_output=True, text=True, check=False
    )
    assert tried.returncode == 1
    assert "petpark: refused to" in tried.stderr
    assert "is not loopback" in tried.stderr


def test_a_child_is_led_to_the_emulator_without_credentials(emulator: Emulator) -> None:
    environment = emulator.environment()
    assert environment["AWS_ENDPOINT_URL"] == emulator.url
    assert environment["AWS_DEFAULT_REGION"] == emulator.region
    assert not [name for name in environment if "KEY" in name]


def test_an_idle_connection_stays_open(emulator: Emulator) -> None:
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        first = exchange(connection)
        closed, _, _ = select.select([connection], [], [], IDLE_SECONDS)
        assert not closed
        assert exchange(connection) == first == "HTTP/1.1 200"


def exchange(connection: socket.socket) -> str:
    """Send a request and read its answer; the beginning of the status line."""
    connection.sendall(REQUEST)
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head[:12].decode()


def test_a_root_client_works_without_any_configuration(emulator: Emulator, client: Callable[[str], Any]) -> None:
    assert client("sts").get_caller_identity()["Arn"].endswith(":root")
