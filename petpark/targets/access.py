"""The IAM policy that a person needs to assume petpark's roles, made from the stack's outputs."""

from collections.abc import Sequence

from infra.policies import Document, person
from petpark.errors import RolesTogether, StackOutdated
from petpark.targets.stacks import StackOutputs
from registry.layout.roles import Role

_APART = {Role.PUBLISHER: Role.CERTIFIER, Role.CERTIFIER: Role.PUBLISHER}
"""Roles that are for two people, as `registry.channels.promotion` has it of those who trained a version."""


def policy(outputs: StackOutputs, roles: Sequence[Role]) -> Document:
    """The policy for the user, or the permission set, of a person who acts in these `roles` of a stack.

    A person who trains is denied the certifier's role, and the other way round; a deny overrides what else a policy
    is given. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html Raises
    `StackOutdated`, `RolesTogether`.
    """
    arns = {role.value: outputs.roles[role] for role in roles if role in outputs.roles}
    if any(_APART.get(role) in roles for role in roles):
        raise RolesTogether(
            "One person would act as publisher and certifier, and could certify their own training, around every "
            "check of petpark's.",
            next_step="Print one policy for each of two people.",
        )
    missing = [role.value for role in roles if role.value not in arns]
    if missing:
        raise StackOutdated(
            f"Stack {outputs.stack} has no role {', '.join(missing)}.",
            next_step=f"pulumi up --stack {outputs.stack}",
        )
    document = person(arns.values())
    others = [outputs.roles[other] for role in roles if (other := _APART.get(role)) and other in outputs.roles]
    if others:
        document["Statement"].append(
            {"Sid": "NotTheOthersToo", "Effect": "Deny", "Action": ["sts:AssumeRole"], "Resource": others}
        )
    return document
