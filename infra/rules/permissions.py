"""Identity policies: nothing that allows everything, and no role for everybody."""

from collections.abc import Iterator
from typing import Any

from infra.rules.documents import allowing, names_everybody, texts
from infra.rules.resource import Resource, value
from infra.rules.rule import Context, Rule

_POLICIES = frozenset({"iam.Policy", "iam.RolePolicy", "iam.UserPolicy", "iam.GroupPolicy", "iam.Role"})
_ATTACHMENTS = frozenset({"iam.RolePolicyAttachment", "iam.UserPolicyAttachment", "iam.GroupPolicyAttachment"})
_EVERYTHING = ("/AdministratorAccess", "/PowerUserAccess")
"""AWS's managed policies that allow (nearly) every action on every resource.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_job-functions.html"""


def _documents(resource: Resource) -> Iterator[Any]:
    yield resource.get("policy")
    for entry in resource.items("inlinePolicies"):
        yield value(entry, "policy")


def _wildcards(resource: Resource, _context: Context) -> Iterator[str]:
    for document in _documents(resource):
        for statement in allowing(document):
            actions = [action for action in texts(statement, "Action") if "*" in action]
            if "NotAction" in statement:
                actions.append("everything but NotAction")
            wide = [one for one in texts(statement, "Resource") if _is_any(one)]
            if "NotResource" in statement:
                wide.append("everything but NotResource")
            if actions and wide:
                yield f"allows {', '.join(actions)} on {', '.join(wide)}"
    arns = [*resource.items("managedPolicyArns"), *resource.items("policyArn")]
    yield from (f"attaches {arn}" for arn in arns if str(arn).endswith(_EVERYTHING))


def _is_any(resource: str) -> bool:
    """Whether a resource is `*`, or an ARN that names nothing in its last part: `arn:aws:s3:::*`. `**` means the same.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    last = resource.split(":", 5)[-1] if resource.startswith("arn:") else resource
    return "*" in last and set(last) <= set("*?/:")


def _trust(resource: Resource, _context: Context) -> Iterator[str]:
    for statement in allowing(resource.get("assumeRolePolicy")):
        if names_everybody(statement):
            yield "may be assumed by everybody"


RULES = (
    Rule(
        name="wildcard-permissions",
        demands="No policy allows a wildcard action on a wildcard resource.",
        why="Anyone who gets access to the instance or to the person's keys would own the account.",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege",
        kinds=_POLICIES | _ATTACHMENTS,
        each=_wildcards,
    ),
    Rule(
        name="role-not-for-everybody",
        demands="No role may be assumed by everybody.",
        why="A missing or misspelt condition would allow any AWS account.",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html",
        kinds=frozenset({"iam.Role"}),
        each=_trust,
    ),
)
