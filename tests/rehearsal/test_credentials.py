"""`petpark people`: what a person needs in AWS."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from petpark.__main__ import app
from petpark.errors import RolesTogether, StackOutdated
from petpark.targets import access
from petpark.targets.stacks import parse
from registry.layout.roles import Role
from tests.petpark.conftest import ACCOUNT, outputs

OTHER = "210987654321"


def printed(*words: str, **more: Any) -> Any:
    target = SimpleNamespace(outputs=parse("test", {**outputs(), **more}))
    said = CliRunner().invoke(app, ["people", "policy", *words], obj=lambda _kind, _stack: target)
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout)


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_person_is_let_take_their_roles_and_see_what_runs_and_nothing_else(as_json):
    document = printed("--role", "promoter", "--role", "reader", *as_json)
    taking, looking = document["Statement"]
    assert taking["Action"] == ["sts:AssumeRole"]
    assert taking["Resource"] == [f"arn:aws:iam::{ACCOUNT}:role/{role}" for role in ("promoter", "reader")]
    assert looking["Action"] == ["ec2:DescribeInstances", "elasticloadbalancing:DescribeTargetHealth"]
    assert len(document["Statement"]) == 2


@pytest.mark.parametrize(("own", "other"), [("publisher", "certifier"), ("certifier", "publisher")])
def test_nobody_is_given_what_training_and_certifying_take_and_each_is_denied_the_other(own, other):
    denial = printed("--role", own, "--role", "reader")["Statement"][-1]
    assert (denial["Effect"], denial["Action"]) == ("Deny", ["sts:AssumeRole"])
    assert denial["Resource"] == [f"arn:aws:iam::{ACCOUNT}:role/{other}"]
    with pytest.raises(RolesTogether, match="publisher and certifier"):
        access.policy(parse("test", outputs()), [Role(own), Role(other)])


def test_a_role_that_the_stack_lacks_is_named():
    with pytest.raises(StackOutdated, match="no role collector"):
        access.policy(parse("test", {**outputs(), "roles": {}}), [Role.COLLECTOR])
