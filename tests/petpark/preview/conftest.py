"""Both stacks as they are deployed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from petpark.__main__ import app
from tests import pulumi_stand_in
from tests.infra.conftest import Deployment, deploy, write_checkout


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout to bundle whose files never change, so that golden pages do not."""
    return write_checkout(tmp_path_factory.mktemp("code"))


@pytest.fixture(scope="session")
def now(code: Path) -> Mapping[str, Deployment]:
    """Both stacks as they are deployed."""
    test = deploy("test", code, {})
    return {"test": test, "prod": deploy("prod", code, {"test": test})}


URN = "urn:pulumi:test::petpark::petpark:infra:ModelStore$aws:s3/bucket:Bucket::models-store-bucket"


def step(op: str, urn: str = URN, **more: Any) -> dict[str, Any]:
    return {"op": op, "urn": urn, **more}


def inputs(**values: Any) -> dict[str, Any]:
    return {"inputs": values, "protect": True}


REPLACED = [
    step(
        op,
        oldState=inputs(bucket="a", tags={"x": "1"}),
        newState=inputs(bucket="b", tags={"x": "1"}),
        replaceReasons=["bucket"],
    )
    for op in ("create-replacement", "replace", "delete-replaced")
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A checkout in which the CLI previews these steps, and `petpark preview` in it."""
    (tmp_path / "Pulumi.yaml").write_text("name: petpark\nruntime: python\n")
    for stack in ("test", "prod"):
        shutil.copy(pulumi_stand_in.REPOSITORY / f"Pulumi.{stack}.yaml", tmp_path)
    home = tmp_path.parent / f"{tmp_path.name}-home"
    pulumi = pulumi_stand_in.install(home / "bin")
    script = home / "script.json"
    for name, value in {
        "PATH": f"{pulumi.parent}:/usr/bin:/bin",
        "PULUMI_HOME": str(home / "pulumi"),
        "PULUMI_BACKEND_URL": (home / "backend").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "x",
        pulumi_stand_in.SCRIPT: str(script),
    }.items():
        monkeypatch.setenv(name, value)
    (home / "backend").mkdir()
    monkeypatch.chdir(tmp_path)
    script.write_text("{}")
    subprocess.run([pulumi, "stack", "init", "test"], check=True, capture_output=True)

    def run(*words: str, steps: list[Any] | None = None, errors: tuple[str, ...] = ()) -> Result:
        script.write_text(json.dumps({"preview": {"steps": steps or [], "errors": errors}}))
        return CliRunner().invoke(app, ["preview", *words])

    return run


def commit(message: str = "x") -> None:
    """Commit the checkout's files."""
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", message]):
        subprocess.run(["git", *words], check=True)
