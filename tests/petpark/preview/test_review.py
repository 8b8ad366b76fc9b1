"""A reviewed plan is accepted until the plan, the program or the state moves."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from tests.petpark.preview.conftest import REPLACED, commit, inputs, step


def reviewed(project: Callable[..., Result], *words: str) -> str:
    """What the page of these steps is bound to."""
    commit()
    return json.loads(project("--json", *words, steps=REPLACED).output)["bindings"]["test"]


def test_what_was_reviewed_is_accepted_as_text_and_as_a_file_until_anything_moves(
    project: Callable[..., Result], tmp_path: Path
) -> None:
    plan = str(tmp_path.parent / f"{tmp_path.name}-plan.json")
    binding = reviewed(project, "--save", plan)
    assert f"--expect {binding}`" in project(steps=REPLACED).output
    for text in (binding, binding.upper().replace("NONE", "none"), plan):
        assert project("--expect", text, steps=REPLACED[::-1]).exit_code == 0


def test_only_a_page_that_can_be_bound_says_what_to_expect(project: Callable[..., Result], tmp_path: Path) -> None:
    assert "no `up` can be bound to it" in project(steps=REPLACED).output
    plan = str(tmp_path.parent / f"{tmp_path.name}-plan.json")
    binding = reviewed(project, "--save", plan)
    assert f"--stack test --expect {binding}`" in project("--plan", plan).output
    assert "no `up` can be bound to it" in project("--plan", plan, "--untrusted").output


def test_a_plan_that_moved_is_refused(project: Callable[..., Result]) -> None:
    moved = project("--expect", reviewed(project), steps=[step("delete", oldState=inputs(bucket="a"))])
    assert moved.exit_code == 1
    assert "this is not what was reviewed: the plan is" in moved.stderr
    assert "the state is" not in moved.stderr
    assert "tree is" not in moved.stderr


def test_a_program_that_moved_is_refused_though_its_plan_is_the_same(
    project: Callable[..., Result], tmp_path: Path
) -> None:
    binding = reviewed(project)
    (tmp_path / "more.txt").write_text("x")
    commit("the same plan by other code")
    moved = project("--expect", binding, steps=REPLACED)
    assert moved.exit_code == 1
    assert "reviewed: the program's tree is" in moved.stderr
    assert "the state is" not in moved.stderr


def test_a_merge_of_the_reviewed_files_is_the_same_program(project: Callable[..., Result]) -> None:
    binding = reviewed(project)
    words = ["-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "merged"]
    subprocess.run(["git", *words], check=True)
    assert project("--expect", binding, steps=REPLACED).exit_code == 0


def test_a_state_that_moved_is_refused_though_the_plan_is_the_same(project: Callable[..., Result]) -> None:
    binding = reviewed(project)
    subprocess.run(["pulumi", "up", "--yes", "--skip-preview", "--stack", "test"], check=True, capture_output=True)
    moved = project("--expect", binding, steps=REPLACED)
    assert moved.exit_code == 1
    assert "reviewed: the state is 1, reviewed was none." in " ".join(moved.stderr.split())


def test_nothing_is_bound_to_files_that_are_in_no_commit(project: Callable[..., Result], tmp_path: Path) -> None:
    binding = reviewed(project)
    settings = tmp_path / "Pulumi.test.yaml"
    settings.write_text(f"{settings.read_text()}\n# a note\n")
    moved = project("--expect", binding, steps=REPLACED)
    assert moved.exit_code == 1
    assert re.search(r"tree is [0-9a-f]{40}\+,", " ".join(moved.stderr.split()))
    assert "--expect" not in project("--save", "plan.json", steps=REPLACED).output
    refused = project("--expect", "plan.json", steps=REPLACED)
    assert refused.exit_code == 2
    assert "a clean checkout" in refused.output
