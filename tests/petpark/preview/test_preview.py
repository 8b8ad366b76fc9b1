"""`petpark preview`, as people run it; the Pulumi CLI is `tests.pulumi_stand_in`."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from infra.configuration import prices
from petpark.__main__ import app
from petpark.errors import FileInTheWay, PreviewUnreadable, PulumiFailed
from petpark.preview import make, rules, saved
from petpark.preview.plan import Checked, Violation, is_stack
from petpark.preview.pulumi_json import read_plan
from petpark.preview.recorded import export, states
from petpark.preview.recorded.record import StackRecord
from petpark.targets import pulumi_cli
from tests.petpark.preview.conftest import REPLACED, URN, commit, inputs, step


def test_the_page_names_what_is_lost_and_what_forces_it(project: Callable[..., Result]) -> None:
    found = project(steps=REPLACED)
    assert found.exit_code == 0, found.output
    assert "`models-store-bucket` (aws:s3/bucket:Bucket) would be replaced. Lost: every object in it" in found.output
    assert "It is protected: `up` refuses this." in found.output
    assert "`bucket`: `a` → `b` **(forces a replacement)**" in found.output
    assert "tags" not in found.output


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


def test_the_page_says_what_a_bigger_instance_costs(project: Callable[..., Result], tmp_path: Path) -> None:
    commit()
    settings = tmp_path / "Pulumi.test.yaml"
    settings.write_text(settings.read_text().replace("c7i.large", "c7i.xlarge"))
    page = project("--base", "HEAD").output
    (row,) = [line for line in page.splitlines() if line.startswith("| endpoint, a month |")]
    before, after, difference = (float(cell.replace(",", "")) for cell in row.split("|")[2:5])
    region = prices.load().region("eu-west-1")
    more = 730 * (region.instance_hour("c7i.xlarge") - region.instance_hour("c7i.large"))
    assert difference == pytest.approx(more, abs=0.01)
    assert after - before == pytest.approx(more, abs=0.02)
    assert "| training, an hour |" in page
    refused = project("--base", "no-such-branch")
    assert refused.exit_code == 2
    assert "no-such-branch is not a commit here" in refused.output


def test_settings_that_cannot_be_used_cost_nothing_and_are_named(
    project: Callable[..., Result], tmp_path: Path
) -> None:
    settings = tmp_path / "Pulumi.test.yaml"
    settings.write_text(settings.read_text().replace("c7i.large", "c9x.huge"))
    found = project()
    assert found.exit_code == 0
    assert "Not computed:" in found.output


def test_errors_of_the_program_stand_on_the_page(project: Callable[..., Result]) -> None:
    found = project(errors=("the program failed: no such setting",))
    assert found.exit_code == 0
    assert "the program failed: no such setting" in found.output


@pytest.mark.parametrize(
    "facts",
    [
        *({"unchanged": float("inf")}, {"unchanged": True}, {"problems": "abc"}, {"changes": {}}),
        *({"commit": "main"}, {"tree": "0" * 39}, {"state": "a`b"}, {"costs": {}}, {"models": []}),
        *({"stack": "a\rb"}, {"stack": "\ud800"}, {"problems": 1}),
        {"changes": [{"op": "create", "urn": URN, "properties": [], "protected": 0}, {}]},
        {"changes": [{"op": "create", "urn": f"{URN}\ud800", "properties": [], "protected": False}]},
    ],
)
def test_a_saved_plan_with_anything_odd_is_refused(facts: dict[str, Any], tmp_path: Path) -> None:
    whole = {
        **{"format": 2, "stack": "test", "changes": [], "unchanged": 1, "source": "x", "problems": [], "notes": []},
        **{"commit": "", "tree": "", "state": "", "rules": None, "costs": None, "models": None},
    }
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(whole))
    assert saved.load(file).unchanged == 1
    for text in (json.dumps({**whole, **facts}), "[" * 100_000):
        file.write_text(text)
        with pytest.raises(PreviewUnreadable, match="not a plan"):
            saved.load(file)


def test_files_that_are_not_utf_8_or_no_files_are_named(project: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes("{}".encode("utf-16"))
    for words in (["--pulumi-json", "odd"], ["--pulumi-json", "."], ["--plan", "."], ["--plan", "odd"]):
        found = project(*words)
        assert found.exit_code == 2
        assert "PreviewUnreadable" in found.output
    (tmp_path / "marked").write_text('warning: an old plugin\n{"steps": []}', encoding="utf-8-sig")
    assert project("--pulumi-json", "marked").exit_code == 0


@pytest.mark.parametrize("option", ["--save", "--page"])
@pytest.mark.parametrize("place", ["folder", "missing/file"])
def test_a_file_that_cannot_be_written_is_said_before_the_preview(
    project: Callable[..., Result], tmp_path: Path, option: str, place: str
) -> None:
    (tmp_path / "folder").mkdir()
    found = project(option, place, steps=[step("vanish")])
    assert found.exit_code == 2
    assert f"FileInTheWay: {place} cannot be written" in found.output
    with pytest.raises(FileInTheWay):
        saved.write("x", tmp_path / place)


def test_options_that_contradict_each_other_are_refused(project: Callable[..., Result], tmp_path: Path) -> None:
    assert project("--save", "plan.json").exit_code == 0
    twice = project("--with", "plan.json")
    assert twice.exit_code == 2
    assert "one plan per stack" in " ".join(twice.output.split())
    both = project("--plan", "plan.json", "--pulumi-json", "plan.json")
    assert both.exit_code == 2


@pytest.mark.parametrize("name", ["a|b", "test\r# T", "x" * 101])
def test_what_no_stack_is_called_is_refused(project: Callable[..., Result], name: str) -> None:
    found = project("--stack", name)
    assert found.exit_code == 2
    assert "is not a stack name" in " ".join(found.output.split())


@pytest.mark.slow  # starts a process
@pytest.mark.parametrize("printed", ["no JSON", "[1]", '{"a": 1}', "["])
def test_a_history_or_outputs_in_no_known_form_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str
) -> None:
    program = tmp_path / "pulumi"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{printed}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(PulumiFailed, match="stack history"):
        make.state_version("test", tmp_path)
    if "1" not in printed:
        with pytest.raises(PulumiFailed, match="stack output"):
            pulumi_cli.outputs("test", tmp_path)


@pytest.mark.parametrize("part", ["", "0" * 64, f"{'0' * 64}:{'0' * 40}", f"{'0' * 64}:{'0' * 40}:unknown", "no.json"])
def test_a_part_of_a_review_is_refused(project: Callable[..., Result], part: str) -> None:
    refused = project("--expect", part, steps=REPLACED)
    assert refused.exit_code == 2
    assert "PLAN:PROGRAM:STATE" in " ".join(refused.output.split())


def test_a_moved_plan_is_one_json_document(project: Callable[..., Result]) -> None:
    found = project("--json", "--expect", f"{'0' * 64}:{'0' * 40}:3", steps=REPLACED)
    assert found.exit_code == 1
    error = json.loads(found.stdout)["error"]
    assert error["outcome"] == "PlanMoved"
    assert error["page"].startswith("<!-- petpark preview -->")


@pytest.mark.parametrize("base", ["", "--output=stolen", "HEAD^"])
def test_a_base_that_is_no_commit_is_refused(project: Callable[..., Result], tmp_path: Path, base: str) -> None:
    found = project(f"--base={base}")
    assert found.exit_code == 2
    assert "is not a commit" in found.output
    assert not list(tmp_path.glob("stolen*"))


def test_settings_of_the_base_that_are_not_text_are_named_by_their_commit(
    project: Callable[..., Result], tmp_path: Path
) -> None:
    settings = tmp_path / "Pulumi.test.yaml"
    now = settings.read_bytes()
    settings.write_bytes(b"\xff\xfe`")
    commit()
    settings.write_bytes(now)
    found = project("--base", "HEAD")
    assert found.exit_code == 0
    assert "Not computed: `in commit HEAD: Pulumi.test.yaml holds no settings" in found.output


def test_the_page_is_written_even_if_the_comment_is_refused(
    project: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    found = project("--page", "page.md", "--post", steps=REPLACED)
    assert found.exit_code == 2
    assert "GITHUB_TOKEN is not set" in found.output
    assert "models-store-bucket" in (tmp_path / "page.md").read_text()


def test_a_table_of_prices_that_cannot_be_read_is_said_before_the_preview(
    project: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "load", lambda: prices.parse("[" * 100_000))
    found = project(steps=[step("vanish")])
    assert found.exit_code == 2
    assert "is no table of prices" in found.output
    assert "Restore it from version control" in found.output


def test_a_machine_without_git_says_so(project: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    (Path.cwd() / "p.json").write_text('{"steps": []}')
    monkeypatch.setenv("PATH", "")
    found = project("--pulumi-json", "p.json", "--base", "HEAD")
    assert found.exit_code == 2
    assert "Install git, or omit --base" in found.output
    assert "commit `unknown`, tree `unknown`" in project("--pulumi-json", "p.json").output


def open_to_all() -> dict[str, Any]:
    kind = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    urn = f"urn:pulumi:test::petpark::petpark:infra:InstanceEndpoint${kind}::endpoint-clients"
    values = {"cidrIpv4": "0.0.0.0/0", "fromPort": 8080, "toPort": 8080, "ipProtocol": "tcp", "securityGroupId": "sg-1"}
    return step("create", urn=urn, newState={"urn": urn, "type": kind, "custom": True, "inputs": values})


def test_the_page_names_rules_that_the_change_violates_before_its_costs(project: Callable[..., Result]) -> None:
    page = project(steps=[open_to_all()]).output
    assert "### Rules of stack test" in page
    assert re.search(r"^- ✗ `[\w-]+`: `endpoint-clients` `.*`$", page, re.MULTILINE), page
    assert page.index("### Rules of stack test") < page.index("### Cost of stack test")


def test_a_saved_plan_keeps_what_the_rules_found(project: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    assert project("--save", str(file), steps=[open_to_all()]).exit_code == 0
    assert "- ✗ " in project("--plan", str(file)).output
    saved = json.loads(file.read_text())
    file.write_text(json.dumps({**saved, "rules": None}))
    assert "Not checked: this plan was saved without them." in project("--plan", str(file)).output
    file.write_text(json.dumps({**saved, "rules": {"violations": [1]}}))
    assert project("--plan", str(file)).exit_code == 2


def test_rules_that_cannot_be_checked_say_why(project: Callable[..., Result]) -> None:
    page = project(steps=[step("create", newState={"inputs": {}})]).output
    assert "Not checked: `a resource in the preview has an unexpected format`" in page


def test_what_rules_found_is_no_part_of_the_digest() -> None:
    plan = read_plan("{}", stack="test")
    found = Checked(violations=(Violation(rule="a", resource="b", message="c", mandatory=True),))
    assert dataclasses.replace(plan, rules=found).digest == plan.digest


def test_many_violations_are_counted_and_no_message_becomes_markup() -> None:
    many = tuple(Violation(rule="a", resource="<b>`", message="|\n# x", mandatory=n % 2 == 0) for n in range(120))
    text = rules.section(dataclasses.replace(read_plan("{}", stack="test"), rules=Checked(violations=many)))
    assert "60 violated (✗), 60 warnings" in text
    assert "… and 70 more" in text
    assert not [line for line in text.splitlines()[2:] if line.startswith(("#", "<", "|"))]


def test_a_saved_plan_keeps_the_version_of_the_state_that_it_was_made_from(
    project: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    assert "- state `none`" in project("--save", str(file), steps=REPLACED).output
    assert "- state `none`" in project("--plan", str(file)).output


def test_the_cli_exports_the_state_and_the_version_of_it(project: Callable[..., Result], tmp_path: Path) -> None:
    empty = states.State(resources=(), references={}, outputs={})
    assert export.from_cli("test", tmp_path) == (empty, "none")


def test_a_record_of_another_stack_is_refused(project: Callable[..., Result], tmp_path: Path) -> None:
    record = StackRecord(project="petpark", stack="prod", state="1", commit="unknown", resources=())
    (tmp_path / "record.json").write_text(record.to_text())
    refused = project("--recorded", "record.json")
    assert refused.exit_code == 2
    assert "record.json is the record of stack prod, not of test" in " ".join(refused.output.split())


def test_a_saved_plan_takes_no_base(project: Callable[..., Result]) -> None:
    assert project("--save", "plan.json").exit_code == 0
    refused = project("--plan", "plan.json", "--base", "HEAD")
    assert refused.exit_code == 2
    assert "already has its costs" in " ".join(refused.output.split())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--expect", "a" * 5000], "is neither PLAN:PROGRAM:STATE"),
        (["--save", "a" * 5000], "File name too long"),
        (["--page", f"{'a' * 5000}/x"], "File name too long"),
    ],
)
def test_a_name_that_no_file_can_have_is_refused(project: Callable[..., Result], words: list[str], why: str) -> None:
    said = project(*words, steps=REPLACED)
    assert (said.exit_code, why in " ".join(said.output.replace("│", "").split())) == (2, True)


def test_a_saved_plan_with_a_cost_that_no_number_holds_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    saved.save(read_plan(json.dumps({"steps": []}), stack="test", source="pulumi preview --json"), plan)
    facts = json.loads(plan.read_text())
    cost = {"component": "x", "before": None, "after": 10**400, "unit": "month"}
    facts["costs"] = {"costs": [cost], "assumptions": [], "notes": [], "problem": ""}
    plan.write_text(json.dumps(facts))
    with pytest.raises(PreviewUnreadable):
        saved.load(plan)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/../x", "a//b", "/a", "a/", "a/b/c/d", "a b", "a" * 101, "a\n"])
@pytest.mark.parametrize("words", ["preview", "deploy --expect x", "teardown", "state drift", "state export --out x"])
def test_what_no_stack_can_be_called_is_refused_before_anything_is_done(name: str, words: str) -> None:
    said = CliRunner().invoke(app, [*words.split(), "--stack", name])
    assert (said.exit_code, "is not a stack name" in said.output) == (2, True)


@pytest.mark.parametrize("name", ["test", "ana.2", "-", "me/petpark/prod", "a" * 100])
def test_what_pulumi_calls_a_stack_is_a_stack(name: str) -> None:
    assert is_stack(name)
