"""The people of a rehearsal: each a user of their own, who acts through roles and hardly otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from petpark.targets.stacks import parse
from petpark.targets.target import Target
from registry.identity import person
from registry.layout.roles import Role
from rehearsal.credentials import Person
from rehearsal.demo_users import DEMO_USERS, create_users, grant_roles
from rehearsal.emulator import Emulator
from rehearsal.target import rehearsal_target
from tests.petpark.conftest import outputs
from tests.rehearsal.emulator.conftest import TRUST_ACCOUNT, refusal

pytestmark = pytest.mark.rehearsal


@pytest.fixture(scope="module")
def people(emulator: Emulator) -> tuple[Person, ...]:
    return create_users(emulator.client("iam"))


@pytest.fixture(scope="module")
def roles(emulator: Emulator, people: tuple[Person, ...]) -> Mapping[str, str]:
    """Operator roles as a stack has them, which the people may take."""
    iam = emulator.client("iam")
    made = {
        role.value: iam.create_role(RoleName=f"people-{role}", AssumeRolePolicyDocument=TRUST_ACCOUNT)["Role"]["Arn"]
        for role in Role
    }
    grant_roles(iam, people, stack="test", roles=made.values())
    return made


type Act = Callable[..., Target]


@pytest.fixture(scope="module")
def act(emulator: Emulator, people: tuple[Person, ...], roles: Mapping[str, str]) -> Act:
    """The stack's view of its people, or of the one named `only`."""
    stack = replace(parse("test", outputs()), roles=roles)
    return lambda only=None: rehearsal_target(stack, {}, emulator.url, ("test",), people=people, only=only)


def test_everyone_acts_in_their_role_with_their_own_name(act: Act) -> None:
    together = act()
    for member in DEMO_USERS:
        assert together.identity(role=member.role).endswith(f":assumed-role/people-{member.role}/{member.name}")


def test_one_person_can_take_every_role_and_keeps_their_name(act: Act) -> None:
    vera = act(only="vera")
    assert {person(vera.identity(role=role)) for role in Role} == {"vera"}


def test_without_a_role_a_person_looks_and_does_nothing_else(act: Act) -> None:
    ana = act()
    assert ana.identity().endswith(":user/ana")
    ec2: Any = ana.client("ec2")
    assert refusal(ec2.run_instances, ImageId="ami-1", MinCount=1, MaxCount=1) == "UnauthorizedOperation"
    assert refusal(ec2.describe_instances) == ""
    group = "arn:aws:elasticloadbalancing:eu-west-1:000000000000:targetgroup/none/0123456789abcdef"
    assert refusal(ana.client("elbv2").describe_target_health, TargetGroupArn=group) == "TargetGroupNotFound"
    assert refusal(ana.client("s3").list_buckets) == "AccessDenied"
    assert refusal(ana.client("iam").create_user, UserName="eve") == "AccessDenied"


def test_a_role_that_is_not_petparks_is_not_taken(act: Act, emulator: Emulator, roles: Mapping[str, str]) -> None:
    other = emulator.client("iam").create_role(RoleName="people-other", AssumeRolePolicyDocument=TRUST_ACCOUNT)
    sts: Any = act().client("sts")
    assert refusal(sts.assume_role, RoleArn=other["Role"]["Arn"], RoleSessionName="ana") == "AccessDenied"
    assert refusal(sts.assume_role, RoleArn=roles["publisher"], RoleSessionName="ana") == ""
