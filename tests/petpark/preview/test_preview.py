"""`petpark preview`, as people run it; the Pulumi CLI is `tests.pulumi_stand_in`."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import rpc
from typer.testing import CliRunner, Result

from infra.configuration import prices
from infra.rules.preview import PLACEHOLDERS
from petpark.__main__ import app
from petpark.errors import FileInTheWay, PreviewUnreadable, PulumiFailed
from petpark.preview import make, rules, saved
from petpark.preview.plan import Checked, Op, Violation, is_stack
from petpark.preview.pulumi_json import SECRET, UNKNOWN, read_plan
from petpark.preview.recorded import export, states
from petpark.preview.recorded.record import StackRecord
from petpark.targets import pulumi_cli
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


def test_the_page_names_what_is_lost_and_what_forces_it(project: Callable[..., Result]) -> None:
    found = project(steps=REPLACED)
    assert found.exit_code == 0, found.output
    assert "`models-store-bucket` (aws:s3/bucket:Bucket) would be replaced. Lost: every object in it" in found.output
    assert "It is protected: `up` refuses this." in found.output
    assert "`bucket`: `a` → `b` **(forces a replacement)**" in found.output
    assert "tags" not in found.output


def commit(message: str = "x") -> None:
    """Commit the checkout's files."""
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", message]):
        subprocess.run(["git", *words], check=True)


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
    "text",
    [
        *("", "[]", "null", "[" * 100_000, '{"steps": 1}', '{"steps": [{}]}', '{"steps": [{"op": "create"}]}'),
        '{"steps": [{"op": "create", "urn": "x"}]}',
        json.dumps({"steps": [step("create", newState=inputs(bucket="\ud800"))]}),
    ],
)
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


def test_an_asset_is_its_path_and_hash_and_not_a_secret() -> None:
    asset = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "path": "a.txt"}
    text = json.dumps(
        {
            "steps": [
                step(
                    "update",
                    oldState=inputs(source={**asset, "hash": "1"}),
                    newState=inputs(source={**asset, "hash": "2"}),
                )
            ]
        }
    )
    (change,) = read_plan(text, stack="test").changes
    assert [(each.path, each.before, each.after) for each in change.properties] == [("source.hash", "1", "2")]


def test_an_import_in_place_of_a_deleted_resource_is_a_replacement() -> None:
    steps = [step("import", newState=inputs(bucket="b")), step("delete", oldState=inputs(bucket="a"))]
    (change,) = read_plan(json.dumps({"steps": steps}), stack="test").changes
    assert change.op is Op.REPLACE


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


@pytest.mark.parametrize("printed", ["", "warning: an old plugin\n", "[warn] an old plugin\n"])
def test_a_warning_before_the_json_of_pulumi_does_no_harm(printed: str) -> None:
    assert read_plan(pulumi_cli.json_part(f'{printed}{{"steps": []}}'), stack="test").changes == ()


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


@pytest.mark.slow  # starts a process
def test_what_pulumi_prints_is_read_whatever_its_encoding(tmp_path: Path) -> None:
    program = tmp_path / "pulumi"
    program.write_text('#!/bin/sh\nprintf \'{"a": "\\377"}\'\n')
    program.chmod(0o755)
    assert json.loads(pulumi_cli.run(program, "x", cwd=tmp_path, timeout=30)) == {"a": "\ufffd"}


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


@given(st.permutations(REPLACED), st.lists(st.sampled_from(["same", "read", "refresh"]), max_size=3))
def test_steps_in_any_order_come_to_the_same_plan(steps: list[Any], more: list[str]) -> None:
    plan = read_plan(json.dumps({"steps": steps}), stack="test")
    others = [step(op, urn=f"{URN}{number}") for number, op in enumerate(more)]
    same = read_plan(json.dumps({"steps": [*others, *steps]}), stack="test")
    assert plan.digest == same.digest
    assert (plan.unchanged, same.unchanged) == (0, len(more))


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


@pytest.mark.parametrize("placeholder", sorted(PLACEHOLDERS))
def test_no_placeholder_of_pulumi_reaches_the_page(placeholder: str) -> None:
    text = json.dumps({"steps": [step("create", newState=inputs(bucket=placeholder))]})
    (change,) = read_plan(text, stack="test").changes
    assert change.properties[0].after == UNKNOWN


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
