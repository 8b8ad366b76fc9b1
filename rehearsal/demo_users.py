"""Who acts in a rehearsal: six users of the emulated account, who assume petpark's operator roles as people would.

All of them may assume all roles, as in a small team. So if a second person is required, petpark's own rule refuses the
first one, not a missing permission.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra import policies
from registry.layout.roles import Role
from rehearsal.credentials import Person

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient


@dataclass(frozen=True, kw_only=True)
class DemoUser:
    """A person, their job in the park, and the operator role in which they act."""

    name: str
    duty: str
    role: Role


DEMO_USERS = (
    DemoUser(name="ana", duty="ML engineer", role=Role.PUBLISHER),
    DemoUser(name="vera", duty="QA expert", role=Role.CERTIFIER),
    DemoUser(name="mia", duty="park operator", role=Role.PROMOTER),
    DemoUser(name="rui", duty="auditor", role=Role.READER),
    DemoUser(name="olga", duty="registry maintainer", role=Role.COLLECTOR),
    DemoUser(name="iris", duty="repairs the registry", role=Role.REPAIRER),
)


def create_users(iam: IAMClient) -> tuple[Person, ...]:
    """Create the users, each with an access key and no permissions yet."""
    return tuple(_create_user(iam, member) for member in DEMO_USERS)


def grant_roles(iam: IAMClient, people: Sequence[Person], *, stack: str, roles: Iterable[str]) -> None:
    """Let `people` assume the operator roles of `stack` (ARNs) and do what needs no role, and nothing else."""
    policy = policies.as_json(policies.person(roles))
    for person in people:
        iam.put_user_policy(UserName=person.name, PolicyName=f"petpark-{stack}", PolicyDocument=policy)


def _create_user(iam: IAMClient, member: DemoUser) -> Person:
    iam.create_user(UserName=member.name)
    key = iam.create_access_key(UserName=member.name)["AccessKey"]
    return Person(
        name=member.name, role=member.role, access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"]
    )
