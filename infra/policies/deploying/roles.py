"""The IAM roles that a workflow may change, and the service that it may pass each to."""

from collections.abc import Mapping

from infra.policies.deploying.stack import ROLES, Deploying, of_this_stack, role_arns
from infra.policies.statements import Statement, allow

_OF_ANY_STACK = ROLES[:2]
"""Names in a stack that does not own the platform."""
PASSED: Mapping[str, tuple[str, ...]] = {
    "ec2.amazonaws.com": ("endpoint-*", "small-machine-*", "training-*"),
    "events.amazonaws.com": ("actions-*", "pipeline-events-role-*"),
    "scheduler.amazonaws.com": ("pipeline-scheduler-role-*",),
    "states.amazonaws.com": tuple(
        f"pipeline-{part}-role-*" for part in ("act", "janitor", "job", "lifecycle", "start", "study")
    ),
}
"""Names of the roles that may be passed to each service. Operators' roles are assumed by people, never passed."""


def change_roles(to: Deploying) -> list[Statement]:
    """The roles that instances, services and people act in."""
    change = [
        "iam:AddRoleToInstanceProfile",
        "iam:CreateInstanceProfile",
        "iam:CreateRole",
        "iam:DeleteInstanceProfile",
        "iam:DeleteRole",
        "iam:DeleteRolePolicy",
        "iam:ListInstanceProfilesForRole",
        "iam:PutRolePolicy",
        "iam:RemoveRoleFromInstanceProfile",
        "iam:TagInstanceProfile",
        "iam:TagRole",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateRoleDescription",
    ]
    names = ROLES if to.owner else _OF_ANY_STACK
    of_any_stack = {"ec2.amazonaws.com": ("endpoint-*",), "events.amazonaws.com": ("actions-*",)}
    passed = PASSED if to.owner else of_any_stack
    return [
        allow(change, [arn for name in names for arn in role_arns(to.account, name)], of_this_stack(to)),
        *(
            allow(
                ["iam:PassRole"],
                [f"arn:aws:iam::{to.account}:role/{name}" for name in roles],
                {"StringEquals": {"iam:PassedToService": service}},
            )
            for service, roles in passed.items()
        ),
    ]
