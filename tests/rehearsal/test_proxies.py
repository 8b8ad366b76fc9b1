"""With a proxy in every variable, what is meant for this machine does not go through it, and the rest does."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest

from camera.classifier import Classifier, NoAnswer
from petpark.loopback import direct
from petpark.targets.role_session import client_of
from rehearsal.emulator import Emulator
from rehearsal.engine import EmbeddedEngine
from rehearsal.instances.cloud import Instance
from rehearsal.instances.machine import environment
from rehearsal.instances.metadata import MetadataService
from tests.moto_cloud import REGION, MotoCloud
from training.instance import metadata

VARIABLES = tuple(
    name for one in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy") for name in (one, one.upper())
)
PROGRAM = 'import pulumi_aws as aws\naws.sns.Topic("alarms")\n'
INSTANCE = Instance(
    id="i-0123456789abcdef1",
    state="running",
    type="t3.micro",
    image="ami-12345678",
    private_ip="10.77.6.10",
    zone="eu-west-1a",
    lifecycle="on-demand",
    profile_arn=None,
    tokens_required=True,
    tags_in_metadata=False,
    tags={},
)
ASK = """
import sys
from petpark.loopback import direct
from petpark.targets.role_session import client_of
import os
os.environ.update(direct(os.environ))
from urllib.request import urlopen
try:
    urlopen(sys.argv[1], timeout=60)
except OSError:
    pass
"""


@dataclass
class RecordingProxy:
    """Listens on loopback, takes down the first line of each connection, and hangs up."""

    port: int
    seen: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def proxy() -> Iterator[RecordingProxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        recording = RecordingProxy(port=listener.getsockname()[1])

        def listen() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(60)
                    recording.seen.append(connection.recv(1000).partition(b"\r\n")[0])

        threading.Thread(target=listen, daemon=True).start()
        yield recording
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(autouse=True)
def proxied(proxy: RecordingProxy, monkeypatch: pytest.MonkeyPatch) -> RecordingProxy:
    """Every proxy variable set, and no exception: as a process finds it that did not begin at our entry point."""
    proxy.seen.clear()
    for name in VARIABLES:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return proxy


def test_the_emulator_and_an_operators_target_are_reached_directly(proxied: RecordingProxy, emulator: Emulator):
    assert emulator.client("sts").get_caller_identity()["Account"] == "000000000000"
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=emulator.region)
    assert client_of(session, "sts", emulator.url).get_caller_identity()["Account"] == "000000000000"
    assert proxied.seen == []


def test_a_stack_is_deployed_directly(proxied: RecordingProxy, tmp_path: Path):
    folder = tmp_path / "Ana's pet park"  # an odd name, since it costs nothing here
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
    (folder / "__main__.py").write_text(PROGRAM)
    with MotoCloud() as cloud:
        settings = {"aws:region": REGION, "aws:endpoints": cloud.url}
        engine = EmbeddedEngine(folder, state_dir=folder / ".state", config={"test": settings}, passphrase="p")
        assert engine.up("test").changes == {"create": 2}
    assert proxied.seen == []


def test_an_instance_asks_its_metadata_service_directly_and_knows_of_no_proxy(proxied: RecordingProxy, tmp_path: Path):
    service = MetadataService(INSTANCE, b"", region=REGION, look=lambda: INSTANCE, credentials=lambda: None)
    service.start()
    try:
        assert not service.address.startswith("127.0.0."), "an address that no list of exceptions names"
        assert metadata.read(service.url, "instance-id") == INSTANCE.id
        found = environment(tmp_path, commands=tmp_path, cloud={}, metadata=service, python=Path(sys.executable))
    finally:
        service.stop()
    assert not [name for name in found if "proxy" in name.lower()]
    assert proxied.seen == []


def test_a_camera_asks_its_endpoint_directly(proxied: RecordingProxy):
    with closing(Classifier("http://127.8.8.8:9")) as classifier, pytest.raises(NoAnswer, match="ConnectError"):
        classifier.classify(b"")
    assert proxied.seen == []


@pytest.mark.parametrize(("url", "seen"), [("http://127.0.0.1:9/", 0), ("http://aws.example.org/", 1)])
def test_what_is_not_on_this_machine_still_goes_through_the_proxy(proxied: RecordingProxy, url: str, seen: int):
    subprocess.run([sys.executable, "-c", ASK, url], check=True, timeout=60)
    assert len(proxied.seen) == seen


def test_the_command_itself_leaves_loopback_out(proxied: RecordingProxy):
    told = "import os, petpark.__main__ as m; m.app = lambda **_: print(os.environ['no_proxy']); m.main()"
    done = subprocess.run([sys.executable, "-c", told], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout.strip() == direct(dict(os.environ))["no_proxy"]
    assert proxied.seen == []
