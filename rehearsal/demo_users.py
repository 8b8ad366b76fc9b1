"""Who acts in a rehearsal: six users of the emulated account, who take petpark's operator roles as people would.

All of them may take all of the roles, as in a small team. So where one person may not do what another has to, it is
petpark's own rule that says so, and not a permission that happens to be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra import policies
from petpark.targets.rehearsal_credentials import Person
from registry.layout import Role

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient


@dataclass(frozen=True, kw_only=True)
class DemoUser:
    """Somebody, what they are to the park, and the operator role that is theirs unless one person plays them all."""

    name: str
    duty: str
    role: Role


CAST = (
    DemoUser(name="ana", duty="ML engineer", role=Role.PUBLISHER),
    DemoUser(name="vera", duty="QA expert", role=Role.CERTIFIER),
    DemoUser(name="mia", duty="park operator", role=Role.PROMOTER),
    DemoUser(name="rui", duty="auditor", role=Role.READER),
    DemoUser(name="olga", duty="keeper of the registry", role=Role.COLLECTOR),
    DemoUser(name="iris", duty="repairs the registry", role=Role.REPAIRER),
)


def hire(iam: IAMClient) -> tuple[Person, ...]:
    """Make the users, with a key each and no permission yet."""
    return tuple(_hire(iam, member) for member in CAST)


def admit(iam: IAMClient, people: Sequence[Person], *, stack: str, roles: Iterable[str]) -> None:
    """Let `people` take the operator roles of `stack` (ARNs), do the little that needs no role, and nothing else."""
    policy = policies.as_json(policies.person(roles))
    for person in people:
        iam.put_user_policy(UserName=person.name, PolicyName=f"petpark-{stack}", PolicyDocument=policy)


def _hire(iam: IAMClient, member: DemoUser) -> Person:
    iam.create_user(UserName=member.name)
    key = iam.create_access_key(UserName=member.name)["AccessKey"]
    return Person(
        name=member.name, role=member.role, access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"]
    )
