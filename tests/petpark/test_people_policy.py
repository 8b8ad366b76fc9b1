"""`petpark people`: the policy of somebody who may take operator roles."""

from __future__ import annotations

import json

from tests.petpark.conftest import ACCOUNT, Place, Run


def test_a_person_may_take_the_roles_that_are_theirs_and_no_other(run: Run) -> None:
    said = run("people", "certifier", "reader", "certifier")
    assert said.exit_code == 0, said.output
    take, look = json.loads(said.stdout)["Statement"]
    assert take["Action"] == "sts:AssumeRole"
    assert take["Resource"] == [f"arn:aws:iam::{ACCOUNT}:role/certifier", f"arn:aws:iam::{ACCOUNT}:role/reader"]
    assert all(":Describe" in action for action in look["Action"])


def test_a_role_that_the_stack_does_not_have_is_named(place: Place, run: Run) -> None:
    place.exported["test"]["roles"] = {}
    said = run("people", "certifier")
    assert said.exit_code == 2
    assert "Stack test has no role certifier" in said.stderr


def test_a_role_that_does_not_exist_is_bad_usage(run: Run) -> None:
    assert run("people", "king").exit_code == 2
