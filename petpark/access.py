"""What a person needs in AWS to act in petpark's roles: one policy, made from the stack's outputs."""

from collections.abc import Sequence

from infra.policies import Document, person
from petpark.errors import StackOutdated
from petpark.stacks import StackOutputs
from registry.layout import Role, api_keys_role


def policy(outputs: StackOutputs, roles: Sequence[Role]) -> Document:
    """The policy for the user, or the permission set, of a person who acts in these `roles` of a stack.

    A stack in an account of its own has roles for its API keys there, which belong to the promoter's and the reader's.
    Raises `StackOutdated`.
    """
    names = [name for role in roles for name in (role.value, api_keys_role(role))]
    arns = {name: outputs.roles[name] for name in names if name in outputs.roles}
    missing = [role.value for role in roles if role.value not in arns]
    if missing:
        raise StackOutdated(
            f"Stack {outputs.stack} has no role {', '.join(missing)}.",
            next_step=f"pulumi up --stack {outputs.stack}",
        )
    return person(arns.values())
