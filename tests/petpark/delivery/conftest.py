"""A checkout whose Pulumi CLI is `tests.pulumi_stand_in`, and a GitHub workflow's environment on loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from petpark.__main__ import app
from tests import pulumi_stand_in
from tests.petpark.github_api import Api

COMMIT = "c" * 40


@dataclass
class Checkout:
    """A checkout; `script` says how the CLI's operations end."""

    root: Path
    script: Path
    record: Path

    def says(self, **operations: Any) -> None:
        """How `preview`, `up`, `refresh` and `destroy` end, as `tests.pulumi_stand_in.operations` reads it."""
        self.script.write_text(json.dumps(operations))

    def run(self, *words: str, target: Any = None) -> Result:
        """Run `petpark` here; `target` opens a stack."""
        return CliRunner().invoke(app, [*words], obj=target)

    def commit(self) -> None:
        """Commit every file here."""
        for words in (["add", "."], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"]):
            subprocess.run(["git", *words], cwd=self.root, check=True)

    def called(self, command: str) -> list[tuple[str, ...]]:
        """The words of each call of one of the CLI's commands."""
        return [call.words for call in pulumi_stand_in.calls(self.record) if command in call.words]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    root, home = tmp_path / "checkout", tmp_path / "home"
    root.mkdir()
    (root / "Pulumi.yaml").write_text("name: petpark\nruntime: python\n")
    for stack in ("test", "prod"):
        shutil.copy(pulumi_stand_in.REPOSITORY / f"Pulumi.{stack}.yaml", root)
    pulumi = pulumi_stand_in.install(home / "bin")
    (home / "backend").mkdir()
    for name, value in {
        "PATH": f"{pulumi.parent}:/usr/bin:/bin",
        "PULUMI_HOME": str(home / "pulumi"),
        "PULUMI_BACKEND_URL": (home / "backend").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "x",
        pulumi_stand_in.SCRIPT: str(home / "script.json"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(root)
    (home / "script.json").write_text("{}")
    for stack in ("test", "prod"):
        subprocess.run([pulumi, "stack", "init", stack], check=True, capture_output=True)
    monkeypatch.setenv(pulumi_stand_in.RECORD, str(home / "calls"))
    made = Checkout(root=root, script=home / "script.json", record=home / "calls")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    made.commit()
    return made


@pytest.fixture
def workflow(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Api]:
    """The variables of a workflow's job; the API that it speaks to."""
    event = tmp_path / "event.json"
    event.write_text("{}")
    for name, value in {
        "GITHUB_TOKEN": "t",
        "GITHUB_REPOSITORY": "park/pets",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_API_URL": api.url,
        "GITHUB_SHA": COMMIT,
    }.items():
        monkeypatch.setenv(name, value)
    return lambda: api
