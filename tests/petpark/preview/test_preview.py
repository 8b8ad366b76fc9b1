"""`petpark preview`, as people run it; the Pulumi CLI is `tests.pulumi_stand_in`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import rpc
from typer.testing import CliRunner, Result

from petpark.__main__ import app
from petpark.errors import PreviewUnreadable
from petpark.preview.pulumi_json import SECRET, UNKNOWN, read_plan
from tests import pulumi_stand_in

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
    (tmp_path / "Pulumi.test.yaml").write_text("config: {}\n")
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


def test_the_page_names_what_is_lost_and_what_forces_it(project: Callable[..., Result]) -> None:
    found = project(steps=REPLACED)
    assert found.exit_code == 0, found.output
    assert "`models-store-bucket` (aws:s3/bucket:Bucket) would be replaced. Lost: every object in it" in found.output
    assert "It is protected: `up` refuses this." in found.output
    assert "`bucket`: `a` → `b` **(forces a replacement)**" in found.output
    assert "tags" not in found.output


def test_a_plan_is_accepted_by_its_digest_until_anything_moves(project: Callable[..., Result], tmp_path: Path) -> None:
    digest = json.loads(project("--json", steps=REPLACED).output)["digests"]["test"]
    assert project("--expect", digest, steps=REPLACED[::-1]).exit_code == 0
    moved = project("--expect", digest, steps=[step("delete", oldState=inputs(bucket="a"))])
    assert moved.exit_code == 1
    assert "not the plan that was reviewed" in moved.output


def test_plans_of_both_stacks_stand_on_one_page(project: Callable[..., Result], tmp_path: Path) -> None:
    other = tmp_path / "prod.json"
    (tmp_path / "raw.json").write_text(json.dumps({"steps": [step("create", newState=inputs(bucket="b"))]}))
    assert project("--stack", "prod", "--pulumi-json", "raw.json", "--save", str(other)).exit_code == 0
    found = project("--with", str(other), steps=REPLACED)
    assert "### Stack test" in found.output
    assert "### Stack prod" in found.output
    other.write_text("{}")
    refused = project("--with", str(other))
    assert refused.exit_code == 2
    assert "not a plan that `petpark preview --save` wrote" in refused.output


def test_errors_of_the_program_stand_on_the_page(project: Callable[..., Result]) -> None:
    found = project(errors=("the program failed: no such setting",))
    assert found.exit_code == 0
    assert "the program failed: no such setting" in found.output


@pytest.mark.parametrize("text", ["", "[]", "null", '{"steps": 1}', '{"steps": [{}]}', '{"steps": [{"op": "create"}]}'])
def test_what_is_not_a_preview_is_refused(text: str) -> None:
    with pytest.raises(PreviewUnreadable, match="not what `pulumi preview --json` prints"):
        read_plan(text, stack="test")


def test_a_step_that_is_not_known_is_refused_and_not_passed_over() -> None:
    with pytest.raises(PreviewUnreadable, match="'vanish'"):
        read_plan(json.dumps({"steps": [step("vanish")]}), stack="test")


def test_a_value_that_is_not_known_yet_is_said_to_be_so() -> None:
    text = json.dumps({"steps": [step("create", newState=inputs(bucket=rpc.UNKNOWN))]})
    (change,) = read_plan(text, stack="test").changes
    assert change.properties[0].after == UNKNOWN


def test_a_wrapped_secret_shows_nothing() -> None:
    wrapped = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:abc"}
    text = json.dumps({"steps": [step("create", newState=inputs(bucket=wrapped))]})
    (change,) = read_plan(text, stack="test").changes
    assert change.properties[0].after == SECRET


@given(st.permutations(REPLACED), st.lists(st.sampled_from(["same", "read", "refresh"]), max_size=3))
def test_steps_in_any_order_come_to_the_same_plan(steps: list[Any], more: list[str]) -> None:
    plan = read_plan(json.dumps({"steps": steps}), stack="test")
    others = [step(op, urn=f"{URN}{number}") for number, op in enumerate(more)]
    same = read_plan(json.dumps({"steps": [*others, *steps]}), stack="test")
    assert plan.digest == same.digest
    assert (plan.unchanged, same.unchanged) == (0, len(more))
