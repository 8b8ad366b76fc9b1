"""What Pulumi's preview prints, read into a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import rpc

from infra.rules.preview import PLACEHOLDERS
from petpark.errors import PreviewUnreadable
from petpark.preview.plan import Op
from petpark.preview.pulumi_json import SECRET, UNKNOWN, read_plan
from petpark.targets import pulumi_cli
from tests.petpark.preview.conftest import REPLACED, URN, inputs, step


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


@pytest.mark.parametrize("printed", ["", "warning: an old plugin\n", "[warn] an old plugin\n"])
def test_a_warning_before_the_json_of_pulumi_does_no_harm(printed: str) -> None:
    assert read_plan(pulumi_cli.json_part(f'{printed}{{"steps": []}}'), stack="test").changes == ()


@pytest.mark.slow  # starts a process
def test_what_pulumi_prints_is_read_whatever_its_encoding(tmp_path: Path) -> None:
    program = tmp_path / "pulumi"
    program.write_text('#!/bin/sh\nprintf \'{"a": "\\377"}\'\n')
    program.chmod(0o755)
    assert json.loads(pulumi_cli.run(program, "x", cwd=tmp_path, timeout=30)) == {"a": "\ufffd"}


@given(st.permutations(REPLACED), st.lists(st.sampled_from(["same", "read", "refresh"]), max_size=3))
def test_steps_in_any_order_come_to_the_same_plan(steps: list[Any], more: list[str]) -> None:
    plan = read_plan(json.dumps({"steps": steps}), stack="test")
    others = [step(op, urn=f"{URN}{number}") for number, op in enumerate(more)]
    same = read_plan(json.dumps({"steps": [*others, *steps]}), stack="test")
    assert plan.digest == same.digest
    assert (plan.unchanged, same.unchanged) == (0, len(more))


@pytest.mark.parametrize("placeholder", sorted(PLACEHOLDERS))
def test_no_placeholder_of_pulumi_reaches_the_page(placeholder: str) -> None:
    text = json.dumps({"steps": [step("create", newState=inputs(bucket=placeholder))]})
    (change,) = read_plan(text, stack="test").changes
    assert change.properties[0].after == UNKNOWN
