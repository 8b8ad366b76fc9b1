"""How `make` gets what deploys a rehearsal: silent where nothing is missing, one sentence where it cannot."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from petpark.downloads.errors import PublisherUnreachable
from petpark.downloads.pulumi import Fetched
from rehearsal.provider import __main__ as command

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without provider and Pulumi, where nothing can be fetched either."""
    monkeypatch.delenv("PETPARK_AWS_PROVIDER", raising=False)
    monkeypatch.setattr(command, "installed", lambda: None)
    monkeypatch.setattr(command.pulumi_cli, "find", lambda: None)
    for fetched in ("rehearsal.provider.fetching.fetch_provider", "petpark.downloads.pulumi.install"):
        monkeypatch.setattr(fetched, unreachable)


def unreachable(*_: object, **__: object) -> Path:
    raise PublisherUnreachable("the.publisher cannot be reached (no route)", next_step="do this, or do that")


@pytest.mark.parametrize("engine", ["embedded", ""])
def test_nothing_is_said_where_there_is_a_provider(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    monkeypatch.setattr(command, "installed", lambda: Path("/opt/provider"))
    assert command.main(engine) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("engine", ["pulumi", ""])
def test_no_provider_is_needed_where_pulumi_deploys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    monkeypatch.setattr(command.pulumi_cli, "find", lambda: Path("/usr/bin/pulumi"))
    assert command.main(engine) == 0
    assert capsys.readouterr() == ("", "")


def test_the_tests_need_a_provider_even_where_there_is_pulumi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.pulumi_cli, "find", lambda: Path("/usr/bin/pulumi"))
    assert command.main("embedded") == 2


@pytest.mark.parametrize("engine", ["embedded", "pulumi", ""])
def test_what_cannot_be_fetched_is_one_sentence(capsys: pytest.CaptureFixture[str], engine: str) -> None:
    assert command.main(engine) == 2
    told = capsys.readouterr()
    assert told.out.startswith("setup 4/4  ")
    assert told.out.count("\n") == 1
    assert told.err == "setup: the.publisher cannot be reached (no route): do this, or do that.\n"


def test_a_variable_that_leads_nowhere_is_told_and_nothing_is_fetched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PETPARK_AWS_PROVIDER", "/nowhere")
    assert command.main("embedded") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("setup: PETPARK_AWS_PROVIDER is /nowhere, which is neither")


def test_the_hashes_of_what_was_fetched_of_pulumi_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched = [Fetched(name="pulumi.tar.gz", sha256="c0de", trust="the publisher's list of checksums")]
    monkeypatch.setattr("petpark.downloads.pulumi.install", lambda *_, **__: fetched)
    assert command.main("pulumi") == 0
    assert "pulumi.tar.gz: SHA-256 c0de, checked against the publisher's list" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "step"),
    [
        ("test", "-m rehearsal.provider embedded\n"),
        ("demo", "-m rehearsal.provider \n"),
        ("demo ENGINE=pulumi", "-m rehearsal.provider pulumi\n"),
        ("check", None),
    ],
)
def test_what_deploys_is_fetched_for_demo_and_test_and_not_for_check(target: str, step: str | None) -> None:
    ready = [f"-o{made}" for made in (".venv/.ready", ".venv-emulator/.ready", ".tools/bin/uv")]
    made = subprocess.run(
        ["make", "--dry-run", *ready, *target.split()], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert step is None or step in made.stdout
    assert ("rehearsal.provider" in made.stdout) == (step is not None)


def test_a_provider_that_changed_is_downloaded_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "installed", lambda: Path("/opt/provider"))
    monkeypatch.setattr(command, "changed", lambda _binary: "The provider is another one")
    assert command.main("embedded") == 2
    assert "The provider is another one: it is downloaded again" in capsys.readouterr().out
