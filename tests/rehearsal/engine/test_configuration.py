import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.engine import (
    ConfigurationRefused,
    EmbeddedEngine,
    EmulatorMissing,
    EndpointRefused,
    ProviderMissing,
    Secret,
)
from rehearsal.engine.configuration import Project, require_loopback
from rehearsal.engine.configuration import provider_properties as read
from rehearsal.engine.provider.client import environment
from tests.moto_cloud import MotoCloud

LOCAL = {"aws:region": "eu-west-1", "aws:endpoints": "http://127.0.0.1:4566"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: tiny\nruntime:\n  name: python\n")
    (tmp_path / "__main__.py").write_text("")
    return tmp_path


@given(st.ip_addresses().filter(lambda address: not address.is_loopback))
def test_no_address_but_loopback_is_let_through(address: object):
    host = f"[{address}]" if ":" in str(address) else str(address)
    with pytest.raises(EndpointRefused):
        require_loopback(f"http://{host}:4566")


@pytest.mark.parametrize("url", ["http://127.0.0.1:4566", "http://127.8.9.1", "https://[::1]:1", "http://localhost:80"])
def test_loopback_is_let_through(url: str):
    require_loopback(url)


@pytest.mark.parametrize("url", ["https://s3.amazonaws.com", "file:///etc/passwd", "127.0.0.1:4566", "http://"])
def test_what_is_no_loopback_url_is_refused(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("52.92.0.1", 0))])
    with pytest.raises(EndpointRefused, match="Pulumi CLI"):
        require_loopback(url)


def test_a_name_that_leads_elsewhere_too_is_refused(monkeypatch: pytest.MonkeyPatch):
    answers = [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", ("52.92.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answers)
    with pytest.raises(EndpointRefused):
        require_loopback("http://localhost.example")


def test_no_endpoint_at_all_would_be_real_aws_and_is_refused():
    with pytest.raises(EndpointRefused, match="real AWS account"):
        read({"aws:region": "eu-west-1"})


@pytest.mark.parametrize(
    "endpoints",
    [
        '[{"s3": "http://127.0.0.1:4566"}, {"ec2": "https://ec2.amazonaws.com"}]',
        '[{"s3": "http://127.0.0.1:4566", "ec2": "http://127.0.0.1:4567"}]',
        "[]",
    ],
)
def test_endpoints_that_leave_a_service_to_the_real_cloud_are_refused(endpoints: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("52.92.0.1", 0))])
    with pytest.raises(EndpointRefused):
        read(LOCAL | {"aws:endpoints": endpoints})


def test_one_url_in_the_official_form_serves_every_service():
    properties, endpoint = read(
        LOCAL | {"aws:endpoints": '[{"s3": "http://127.0.0.1:1", "ec2": "http://127.0.0.1:1"}]'}
    )
    assert endpoint == "http://127.0.0.1:1"
    assert properties["maxRetries"] == 5


@pytest.mark.parametrize("key", ["profile", "sharedCredentialsFiles", "assumeRoles", "httpProxy"])
def test_keys_that_reach_for_real_credentials_are_refused(key: str):
    with pytest.raises(ConfigurationRefused, match=f"aws:{key}"):
        read(LOCAL | {f"aws:{key}": "x"})


def test_the_provider_sees_nothing_of_the_callers_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    seen = environment(tmp_path)
    assert seen["AWS_ACCESS_KEY_ID"] == "test"
    assert not {"AWS_PROFILE", "HTTPS_PROXY", "PATH"} & seen.keys()
    assert not Path(seen["AWS_SHARED_CREDENTIALS_FILE"]).exists()


def engine(folder: Path, config: dict[str, str], provider: Path | None = None) -> EmbeddedEngine:
    return EmbeddedEngine(
        folder, state_dir=folder / "state", config={"test": config}, passphrase="p", provider=provider
    )


def test_a_real_endpoint_is_refused_before_anything_starts(folder: Path):
    started = folder / "started"
    provider = folder / "provider"
    provider.write_text(f"#!/bin/sh\ntouch {started}\n")
    provider.chmod(0o755)
    for config in (LOCAL | {"aws:endpoints": "https://52.92.0.1"}, {"aws:region": "eu-west-1"}):
        with pytest.raises(EndpointRefused):
            engine(folder, config, provider=provider).up("test")
    assert not started.exists()
    assert not (folder / "state").exists()


def test_an_emulator_that_does_not_answer_is_said_to(folder: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(EmulatorMissing, match="start the emulator"):
            engine(folder, LOCAL | {"aws:endpoints": url}).up("test")


def test_a_missing_provider_is_said_before_anything_is_written(
    folder: Path, cloud: MotoCloud, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PETPARK_AWS_PROVIDER", str(folder / "nowhere"))
    with pytest.raises(ProviderMissing, match="PETPARK_AWS_PROVIDER"):
        engine(folder, LOCAL | {"aws:endpoints": cloud.url}).up("test")
    assert not (folder / "state").exists()


def test_a_stacks_file_and_what_is_laid_over_it_become_one_configuration(folder: Path):
    (folder / "Pulumi.test.yaml").write_text(
        "config:\n  aws:region: eu-west-1\n  tiny:count: 3\n  tiny:on: true\n"
        "  tiny:who:\n    - {name: é, age: 1}\n  tiny:none: {}\n"
    )
    config = Project.read(folder).config("test", {"count": 4, "token": Secret("hidden")}, {"aws:region": "eu-west-2"})
    assert config.values == {
        "aws:region": "eu-west-2",
        "tiny:count": "4",
        "tiny:on": "true",
        "tiny:who": '[{"age":1,"name":"é"}]',
        "tiny:none": "{}",
        "tiny:token": "hidden",
    }
    assert config.secret_keys == {"tiny:token"}
    assert "hidden" not in repr(Secret("hidden"))


def test_a_value_encrypted_for_the_official_cli_is_refused_with_the_way_out(folder: Path):
    (folder / "Pulumi.test.yaml").write_text("config:\n  tiny:token:\n    secure: v1:abc\n")
    with pytest.raises(ConfigurationRefused, match="--secret tiny:token="):
        Project.read(folder).config("test")


@pytest.mark.parametrize(
    "text", ["", "name: x", "name: x\nruntime: nodejs", "- a", "{", "name: x\nruntime: python\nname: x"]
)
def test_a_folder_that_is_no_python_project_is_refused(folder: Path, text: str):
    (folder / "Pulumi.yaml").write_text(text)
    with pytest.raises(ConfigurationRefused, match=r"Pulumi\.yaml"):
        Project.read(folder)
