"""A case of AWS's documentation: policies, a request, and what AWS says of it."""

from dataclasses import dataclass, field
from typing import Any

GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
DENY_ALLOW = GUIDE + "reference_policies_evaluation-logic_policy-eval-denyallow.html"
SINGLE_ACCOUNT = GUIDE + "reference_policies_evaluation-logic_policy-eval-basics.html"
CROSS_ACCOUNT = GUIDE + "reference_policies_evaluation-logic-cross-account.html"
EXPLICIT_IMPLICIT = GUIDE + "reference_policies_evaluation-logic_AccessPolicyLanguage_Interplay.html"
BOUNDARIES = GUIDE + "access_policies_boundaries.html"
SESSIONS = GUIDE + "access_policies.html#policies_session"
NOT_ACTION = GUIDE + "reference_policies_elements_notaction.html"
NOT_RESOURCE = GUIDE + "reference_policies_elements_notresource.html"
RESOURCE = GUIDE + "reference_policies_elements_resource.html"
ACTION = GUIDE + "reference_policies_elements_action.html"
OPERATORS = GUIDE + "reference_policies_elements_condition_operators.html"
LOGIC = GUIDE + "reference_policies_condition-logic-multiple-context-keys-or-values.html"
MULTIVALUED = GUIDE + "reference_policies_condition-single-vs-multi-valued-context-keys.html"
VARIABLES = GUIDE + "reference_policies_variables.html"

USER = frozenset({"arn:aws:iam::111122223333:user/ana"})
ROLE = "arn:aws:iam::111122223333:role/r"
SESSION = "arn:aws:sts::111122223333:assumed-role/r/s"
IN_ROLE = frozenset({ROLE, SESSION})
OBJECT = "arn:aws:s3:::bucket/key"

type Document = dict[str, Any]


def statement(effect: str, action: Any = "s3:*", resource: Any = "*", **more: Any) -> Document:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


ALLOW, DENY = statement("Allow"), statement("Deny")
OTHER = statement("Allow", "sqs:*")


def to(principal: Any, effect: str = "Allow") -> Document:
    """A statement of the bucket's policy."""
    return statement(effect, Principal={"AWS": principal})


def when(operator: str, key: str, value: Any, effect: str = "Allow") -> Document:
    return statement(effect, Condition={operator: {key: value}})


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request by `arns` of account 111122223333, and the statements of the policies of each kind."""

    page: str
    says: str
    allowed: bool
    identity: tuple[Document, ...] = ()
    bucket: tuple[Document, ...] = ()
    boundary: tuple[Document, ...] | None = None
    session: tuple[Document, ...] | None = None
    arns: frozenset[str] = USER
    owner: str = "111122223333"
    action: str = "s3:GetObject"
    resource: str = OBJECT
    context: dict[str, Any] = field(default_factory=dict[str, Any])
    version: str = "2012-10-17"


def condition(page: str, says: str, one: Document, holds: bool, **context: Any) -> Case:
    """A case of one condition in an Allow; keys are given with `__` for `:` and `_` for `-`."""
    known = {key.replace("__", ":").replace("_", "-").lower(): value for key, value in context.items()}
    return Case(page=page, says=says, allowed=holds, identity=(one,), context=known)
