"""A fork's pull request, as the workflows run it: the deploy job's record, the fork's run, artifacts, the comment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from petpark.__main__ import app
from petpark.preview.github import VARIABLES
from petpark.preview.page import MARK
from petpark.preview.recorded import export, states
from petpark.preview.recorded.record import StackRecord
from tests.infra.conftest import ROOT, Deployment, deploy, write_checkout
from tests.petpark.github_api import Api
from tests.petpark.preview.recorded.exports import answer, exported

HEAD = "a" * 40
WORKFLOWS = ROOT / ".github" / "workflows"
DATES = {"GIT_AUTHOR_DATE": "2026-11-01T12:00:00Z", "GIT_COMMITTER_DATE": "2026-11-01T12:00:00Z"}

MODELS = {
    "model": "pets",
    "channels": {"test": 3, "prod": 3},
    "versions": {"3": {"metrics": {}, "bounds": {"accuracy": 0.85}, "open_gates": [], "certificate": None}},
}
"""What the deploy job read of the registry."""

OPTIONAL = {"petpark", "brotli", "grpcio-tools"}
"""Petpark itself, and what httpx and grpc use where it happens to be installed."""

# What the fork's run loads, by distribution, to compare with what its job installs.
PROGRAM = """
import json, runpy, sys
from pathlib import Path
loaded, sys.argv = Path(sys.argv[1]), ["petpark", *sys.argv[2:]]
try:
    runpy.run_module("petpark", run_name="__main__")
finally:
    loaded.write_text(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A checkout whose first commit is what was deployed, and the second what a fork proposes."""

    folder: Path
    records: Mapping[str, StackRecord]


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@park.example", *words]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, env={**os.environ, **DATES}
    ).stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The deploy job's part: both stacks are deployed and recorded; then the fork changes the instance type."""
    folder = write_checkout(tmp_path_factory.mktemp("checkout"))
    for name in ("Pulumi.yaml", "Pulumi.test.yaml", "Pulumi.prod.yaml", "__main__.py"):
        shutil.copy(ROOT / name, folder)
    settings = folder / "Pulumi.prod.yaml"
    text = settings.read_text()
    for key, value in (("host_name", "photos.park.example"), ("dns_zone", "park.example")):
        text = re.sub(rf"petpark:{key}: none", f"petpark:{key}: {value}", text)
    settings.write_text(text)
    (folder / ".gitignore").write_text("build/\nrecord*\nplan.json\npage.md\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "deployed")
    test = deploy("test", folder, {})
    deployed: dict[str, Deployment] = {"test": test, "prod": deploy("prod", folder, {"test": test})}
    records: dict[str, StackRecord] = {}
    for stack, version in (("test", "17"), ("prod", "9")):
        state = states.read(json.dumps(exported(deployed[stack], others={"test": test})))
        records[stack], changed = export.record(stack, folder, state, version, ask=answer, models=MODELS)
        assert changed == 0, "what was just deployed is what the program declares"
    for stack in records:
        settings = folder / f"Pulumi.{stack}.yaml"
        settings.write_text(settings.read_text().replace("c7i.large", "c7i.xlarge").replace("10.20.0.0", "10.40.0.0"))
    settings = folder / "Pulumi.test.yaml"
    settings.write_text(settings.read_text().replace("accuracy: 0.6 ", "accuracy: 0.9 "))
    git(folder, "commit", "-qam", "bigger")
    return Checkout(folder=folder, records=records)


def steps(workflow: str, job: str) -> list[dict[str, Any]]:
    return yaml.safe_load((WORKFLOWS / workflow).read_text())["jobs"][job]["steps"]


def command(workflow: str, job: str) -> list[str]:
    """The words of the job's call of `petpark preview`."""
    (found,) = (step["run"] for step in steps(workflow, job) if "petpark preview" in step.get("run", ""))
    program, *words = found.split()
    assert program == ".venv/bin/petpark"
    return words


def artifacts(workflow: str, job: str, stack: str) -> tuple[str, list[str]]:
    (step,) = (step for step in steps(workflow, job) if "upload-artifact@" in step.get("uses", ""))
    return step["with"]["name"].replace("${{ matrix.stack }}", stack), step["with"]["path"].split()


def forks_run(checkout: Checkout, stack: str, home: Path, **more: str) -> dict[str, set[str]]:
    """What the fork's job does for one stack, without credentials; returns the distributions that it loaded."""
    (checkout.folder / "record.json").write_text(checkout.records[stack].to_text())
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PETPARK_STACK": stack, **more}
    words = command("preview.yml", "recorded")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home / "loaded.json"), *words],
        cwd=checkout.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    owners = metadata.packages_distributions()
    # Several distributions share a namespace such as opentelemetry.
    loaded = json.loads((home / "loaded.json").read_text())
    return {name: {plain(one) for one in owners[name]} for name in loaded if name in owners}


def plain(distribution: str) -> str:
    """https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@pytest.fixture(scope="module")
def uploaded(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the artifacts of the fork's run. Its job for prod finds no AWS provider."""
    home, store = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("artifacts")
    for stack, more in (("test", {}), ("prod", {"PETPARK_AWS_PROVIDER": "/nowhere"})):
        loaded = forks_run(checkout, stack, home, **more)
        locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / "deploy.txt").read_text(), re.MULTILINE)
        installed = {*map(plain, locked)} | OPTIONAL
        assert {name for name, owners in loaded.items() if not owners & installed} == set(), (
            "the job installs these only"
        )
        name, files = artifacts("preview.yml", "recorded", stack)
        (store / name).mkdir()
        for file in files:
            shutil.move(checkout.folder / file, store / name / file)
    return store


def comment(api: Api, uploaded: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the job of the default branch does with these artifacts; the comment's text."""
    for step in steps("preview-comment.yml", "comment"):
        if "download-artifact@" in step.get("uses", ""):
            shutil.copytree(uploaded / step["with"]["name"], workspace / step["with"]["path"])
    event = workspace / "event.json"
    event.write_text(json.dumps({"workflow_run": {"head_sha": HEAD}}))
    api.pulls.append({"number": 5, "head": {"sha": HEAD}})
    environment = {"GITHUB_TOKEN": "t", "GITHUB_REPOSITORY": "park/pets", "GITHUB_EVENT_PATH": str(event)}
    assert environment.keys() == VARIABLES.keys()
    for name, value in {**environment, "GITHUB_API_URL": api.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(workspace)
    done = CliRunner().invoke(app, command("preview-comment.yml", "comment"))
    assert done.exit_code == 0, done.output
    (made,) = api.comments
    return str(made["body"])


def test_a_fork_gets_a_comment_made_from_the_record(
    api: Api, checkout: Checkout, uploaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = comment(api, uploaded, tmp_path, monkeypatch)
    assert body.startswith(MARK)
    assert "it is not verified" in body
    deployed = git(checkout.folder, "rev-parse", "HEAD^").strip()
    assert body.count(f"made from the state that was recorded after commit {deployed}") == 2
    assert "data sources from the record: getCallerIdentity, getParameter" in body
    assert "outputs of other stacks from the record: organization/petpark/test" in body
    # What only the AWS provider knows: it was there for test, and prod's page says that it was not.
    assert re.search(r"± <code>network-vpc</code>.*forced by <code>cidrBlock</code>|± `network-vpc`.*`cidrBlock`", body)
    assert (
        "each of these changes may be a replacement, because the AWS provider was not available: "
        "endpoint-machine-template" in body
    )
    assert "`c7i.large` → `c7i.xlarge`" in body
    assert re.search(r"\| endpoint, a month \| [\d,.]+ \| [\d,.]+ \| \+[\d,.]+ \|", body), "costs before and after"
    commit, tree = git(checkout.folder, "rev-parse", "HEAD", "HEAD^{tree}").split()
    assert f"commit `{commit}`, tree `{tree}`" in body
    assert "state `17`" in body
    assert "state `9`" in body
    assert "--expect" not in body, "nothing is bound to a plan from a record"
    assert "channel test, version 3, as now (as recorded with state 17)" in body
    assert "version 3 (prod, test) shows 0.85, which would fail" in body


def test_what_a_fork_uploads_is_no_markup_and_names_no_pull_request(
    api: Api, uploaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = shutil.copytree(uploaded, tmp_path / "forged")
    file = forged / "preview-test" / "plan.json"
    facts = json.loads(file.read_text())
    evil = "</details>\n<!-- petpark preview -->\n# Approved @maintainer [x](https://evil.example)"
    facts |= {"notes": [evil], "problems": [evil], "number": 99, "pull_request": 99}
    facts["costs"]["assumptions"] = facts["costs"]["notes"] = [evil]
    facts["models"] = {
        **{"source": evil, "before": evil, "after": "x", "problem": ""},
        **{
            "findings": [{"text": evil, "serious": True}],
            "figures": [dict.fromkeys(("name", "before", "after"), evil)],
        },
    }
    facts["models"]["figures"][0]["difference"] = evil
    file.write_text(json.dumps(facts))
    body = comment(api, forged, tmp_path / "work", monkeypatch)
    assert api.requests[0] == "GET"
    assert body.count("\n<!-- petpark preview -->") == 0
    assert not re.search(r"^[\s>|-]*# Approved", body, re.MULTILINE)
    assert "# Approved" in body.replace("\\", "")
    outside = re.sub(r"(`+).*?\1(?!`)", "", body)
    assert not re.search(r"(?<!\\)@maintainer|(?<!\\)\[x\](?!\\)|https?://", outside)
