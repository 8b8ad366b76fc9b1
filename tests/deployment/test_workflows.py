"""The workflows that deploy: linted, their commands exist, and each takes the role of its environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.delivery.deploy_roles import SESSION_SECONDS
from tests.deployment.readme import check
from tests.deployment.test_locks import workflows
from tests.pulumi_stand_in import REPOSITORY

_ZIZMOR = Path(sys.executable).parent / "zizmor"
_FOLDER = REPOSITORY / ".github" / "workflows"


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    words = [_ZIZMOR, "--offline", "--no-progress", "--quiet", folder]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def test_zizmor_has_nothing_to_say() -> None:
    done = zizmor(_FOLDER)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("@de0fac2e4500dabe0009e67214ff5f5447ce83dd", "@v6"),
        ("persist-credentials: false", "persist-credentials: true"),
        ("permissions: {}", "permissions: write-all"),
        ("petpark state drift --issue", "petpark state drift --stack ${{ github.head_ref }}"),
    ],
)
def test_zizmor_finds_what_it_is_there_for(tmp_path: Path, written: str, instead: str) -> None:
    text = (_FOLDER / "drift.yml").read_text()
    assert written in text
    (tmp_path / "drift.yml").write_text(text.replace(written, instead))
    assert zizmor(tmp_path).returncode != 0


def commands() -> list[str]:
    return sorted(
        {
            step["run"]
            for workflow in workflows().values()
            for job in workflow["jobs"].values()
            for step in job["steps"]
            if "run" in step and not step["run"].startswith("bash ")
        }
    )


@pytest.mark.parametrize("command", commands())
def test_every_command_of_a_workflow_could_run(command: str) -> None:
    check(command.split())


def jobs() -> dict[str, Any]:
    return {
        f"{name}/{job}": content for name, workflow in workflows().items() for job, content in workflow["jobs"].items()
    }


def roles(job: Any) -> set[str]:
    return {step["with"]["role-to-assume"] for step in job["steps"] if "role-to-assume" in step.get("with", {})}


def test_a_job_deploys_only_in_the_environment_whose_role_it_takes() -> None:
    deploying = {name: job for name, job in jobs().items() if "${{ vars.DEPLOY_ROLE }}" in roles(job)}
    assert set(deploying) == {"deploy.yml/test", "deploy.yml/prod", "teardown.yml/teardown"}
    for name, job in deploying.items():
        named = job["environment"]
        (command,) = (
            step
            for step in job["steps"]
            if "petpark deploy" in step.get("run", "") or "teardown" in step.get("run", "")
        )
        stack = command.get("env", {}).get("PETPARK_STACK") or command["run"].partition("--stack ")[2].split()[0]
        assert stack == named, name
    for name, job in jobs().items():
        if roles(job) and name not in deploying:
            assert "environment" not in job, f"{name}: the preview role is not taken from an environment"


def test_prod_waits_for_test_and_for_a_plan_made_after_it() -> None:
    deploy = workflows()["deploy.yml"]["jobs"]
    assert deploy["plan-prod"]["needs"] == "test"
    assert deploy["prod"]["needs"] == "plan-prod"
    assert deploy["prod"]["environment"] == "prod"


def test_credentials_last_as_long_as_the_job() -> None:
    for name, job in jobs().items():
        for step in job["steps"]:
            if step.get("with", {}).get("role-to-assume") == "${{ vars.DEPLOY_ROLE }}":
                assert step["with"]["role-duration-seconds"] == SESSION_SECONDS >= 60 * job["timeout-minutes"], name


def test_what_deploys_or_destroys_is_never_cancelled() -> None:
    for name in ("deploy.yml", "teardown.yml"):
        assert workflows()[name]["concurrency"]["cancel-in-progress"] is False


def test_check_runs_both_linters() -> None:
    said = subprocess.run(["make", "-n", "check"], cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout
    assert "zizmor --offline" in said
    assert ".tools/bin/actionlint" in said


def test_schedules_are_not_at_the_full_hour() -> None:
    """GitHub delays or drops what is scheduled when everybody's is.

    https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#schedule
    """
    for name in ("drift.yml", "teardown.yml"):
        workflow = yaml.safe_load((_FOLDER / name).read_text())
        (when,) = workflow[True]["schedule"]
        assert when["cron"].split()[0] != "0"
