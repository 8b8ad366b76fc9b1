"""What is missing, and what fixes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from petpark import doctor
from petpark.__main__ import app
from petpark.doctor import Check, Health
from petpark.downloads.pulumi import MIRROR, Fetched, cli_file, plugin_file
from petpark.errors import StackNotDeployed
from petpark.machine import unsupported
from petpark.targets.target import Target
from rehearsal.emulators import EMULATORS
from tests.loopback_publisher import publisher
from tests.petpark.conftest import Run


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with this Python and nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    (tmp_path / "Pulumi.yaml").touch()
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv(MIRROR, "http://127.0.0.1:9")  # where nobody answers
    monkeypatch.setattr("petpark.targets.pulumi_cli.TOOLS", tmp_path / ".tools")
    monkeypatch.setattr("petpark.downloads.TOOLS", tmp_path / ".tools")
    return tmp_path


def checks(*options: str, opener: Any = None) -> tuple[int, dict[str, dict[str, Any]]]:
    """What the doctor finds, by name; without `opener` nothing is deployed."""
    said = CliRunner().invoke(app, ["doctor", *options, "--json"], obj=opener or nothing_deployed)
    return said.exit_code, {check["name"]: check for check in json.loads(said.stdout)["checks"]}


def nothing_deployed(_kind: str, stack: str) -> Target:
    raise StackNotDeployed(f"Stack {stack} is not deployed.", next_step=f"pulumi up --stack {stack}")


def test_on_a_bare_machine_everything_missing_comes_with_what_fixes_it(bare: Path) -> None:
    code, found = checks("--target", "rehearsal")
    assert code == 1
    assert found["emulator"]["health"] == "missing"
    assert found["emulator"]["fix"] == "make setup"
    assert found["Python"]["health"] == "fine"
    assert all(check["fix"] for check in found.values() if check["health"] != "fine")


@pytest.mark.parametrize(("target", "code", "health"), [("rehearsal", 1, "missing"), ("aws", 1, None)])
def test_only_a_rehearsal_needs_linux(
    bare: Path, monkeypatch: pytest.MonkeyPatch, target: str, code: int, health: str | None
) -> None:
    reason = unsupported("darwin")
    monkeypatch.setattr("petpark.machine.unsupported", lambda: reason)
    said, found = checks("--target", target)
    assert said == code
    assert found.get("operating system", {}).get("health") == health


@pytest.mark.parametrize(("gigabytes", "health"), [(2, "absent"), (8, "fine")])
def test_little_memory_is_told_and_refuses_nothing(
    bare: Path, monkeypatch: pytest.MonkeyPatch, gigabytes: int, health: str
) -> None:
    monkeypatch.setattr("petpark.doctor.total_memory", lambda: gigabytes * 10**9)
    assert checks("--target", "rehearsal")[1]["memory"]["health"] == health


@pytest.mark.slow  # starts a process
@pytest.mark.parametrize(("pulumi", "provider"), [("fine", "absent"), ("absent", "missing")])
def test_one_engine_is_enough(bare: Path, monkeypatch: pytest.MonkeyPatch, pulumi: str, provider: str) -> None:
    monkeypatch.setenv("PETPARK_AWS_PROVIDER", str(bare / "nowhere"))
    if pulumi == "fine":
        program = bare / ".pulumi" / "bin" / "pulumi"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\necho v3.272.0\n")
        program.chmod(0o755)
    _, found = checks("--target", "rehearsal")
    assert (found["Pulumi CLI"]["health"], found["AWS provider"]["health"]) == (pulumi, provider)
    assert "nowhere" in found["AWS provider"]["found"]


def test_an_account_needs_pulumi_and_credentials(bare: Path) -> None:
    code, found = checks()
    assert code == 1
    assert found["Pulumi CLI"]["fix"] == "petpark doctor --install-pulumi"
    assert found["AWS account"]["health"] == "missing"
    assert "emulator" not in found


@pytest.mark.usefixtures("cloud")
def test_the_account_is_named() -> None:
    _, found = checks()
    assert found["AWS account"]["health"] == "fine"
    assert "123456789012" in found["AWS account"]["found"]


@pytest.mark.slow  # starts a process
@pytest.mark.parametrize("chosen", EMULATORS)
def test_the_emulator_in_use_is_named_and_another_environment_is_not_taken_for_its_own(
    bare: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setenv("PETPARK_EMULATOR", chosen)
    monkeypatch.delenv("PETPARK_EMULATOR_PYTHON", raising=False)
    product = EMULATORS[chosen]
    python = bare / product.environment / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    found = {check.name: check for check in doctor.examine("rehearsal", bare, lambda: nothing_deployed("", "test"))}
    assert found["emulator"].health is Health.MISSING
    assert f"no {product.name}" in found["emulator"].found
    assert found["emulator"].fix == product.setup
    python.unlink()
    python.write_text("#!/bin/sh\necho 1.2.3\n")
    python.chmod(0o755)
    found = {check.name: check for check in doctor.examine("rehearsal", bare, lambda: nothing_deployed("", "test"))}
    assert found["emulator"].found.startswith(f"{product.name} 1.2.3, ")


def test_an_emulator_that_nobody_knows_is_said_with_those_that_are_known(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETPARK_EMULATOR", "other")
    _, found = checks("--target", "rehearsal")
    assert found["emulator"]["health"] == "missing"
    assert found["emulator"]["found"] == "PETPARK_EMULATOR is other, not one of localstack, ministack, localemu"


def test_what_is_merely_good_to_have_does_not_fail_the_doctor() -> None:
    fine = Check(name="a", health=Health.FINE, found="")
    assert not doctor.ailing([fine, Check(name="b", health=Health.ABSENT, found="", fix="x")])
    assert doctor.ailing([fine, Check(name="b", health=Health.MISSING, found="", fix="x")])


def test_pulumi_that_cannot_be_fetched_is_one_sentence_and_another_way(run: Run, bare: Path) -> None:
    said = run("doctor", "--install-pulumi")
    assert said.exit_code == 2
    assert said.stderr.startswith(
        "PublisherUnreachable: The Pulumi CLI cannot be installed: 127.0.0.1 cannot be reached"
    )
    assert "--engine embedded" in said.stderr


def test_what_would_be_fetched_is_told_with_its_source_and_size(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with publisher() as server:
        monkeypatch.setenv(MIRROR, server.url)
        files = (cli_file(), plugin_file())
        for file, size in zip(files, (2_000_000, 3_400_000), strict=True):
            server.files[urlsplit(file.url).path] = bytes(size)
        _, found = checks("--target", "rehearsal")
    assert found["Pulumi CLI"]["found"].endswith(
        f"can be downloaded from 127.0.0.1: {files[0].name} (2 MB) and {files[1].name} (3 MB)"
    )
    assert found["Pulumi CLI"]["fix"] == "petpark doctor --install-pulumi"


def test_the_provider_that_would_be_fetched_is_told_with_its_source_and_size(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rehearsal.provider.mirrors.installed", lambda: None)
    _, found = checks("--target", "rehearsal")
    told = found["AWS provider"]
    assert "can be downloaded from releases.hashicorp.com: terraform-provider-aws_5.100.0_" in told["found"]
    assert told["found"].endswith("(some 150 MB)")
    assert told["fix"] == "make provider"


def test_install_pulumi_tells_what_it_fetched_with_its_hash(
    run: Run, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = [Fetched(name="pulumi-v3.tar.gz", sha256="c0de" * 16, trust="the publisher's list of checksums")]
    monkeypatch.setattr("petpark.downloads.pulumi.install", lambda *_, **__: fetched)
    said = run("doctor", "--install-pulumi")
    assert f"Downloaded pulumi-v3.tar.gz\n  SHA-256 {'c0de' * 16}, checked against the publisher's list" in said.stderr
