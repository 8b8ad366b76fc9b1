"""The evaluation held against what AWS documents, case by case: each cites its page of the IAM User Guide."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.policy_evaluator import policy

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


KINDS = [
    Case(page=DENY_ALLOW, says="by default all requests are implicitly denied", allowed=False),
    Case(page=DENY_ALLOW, says="an identity-based policy allows", allowed=True, identity=(ALLOW,)),
    Case(page=DENY_ALLOW, says="an explicit deny overrides an allow", allowed=False, identity=(ALLOW, DENY)),
    Case(page=DENY_ALLOW, says="whatever their order", allowed=False, identity=(DENY, ALLOW)),
    Case(
        page=DENY_ALLOW,
        says="an explicit deny in a resource-based policy",
        allowed=False,
        identity=(ALLOW,),
        bucket=(to(sorted(USER), "Deny"),),
    ),
    Case(
        page=EXPLICIT_IMPLICIT,
        says="an implicit deny is no explicit one: another policy may allow",
        allowed=True,
        identity=(OTHER,),
        bucket=(to(sorted(USER)),),
    ),
    Case(page=SINGLE_ACCOUNT, says="the union: the bucket's policy alone", allowed=True, bucket=(to(sorted(USER)),)),
    Case(
        page=SINGLE_ACCOUNT,
        says="naming the account leaves it to identity-based policies",
        allowed=False,
        bucket=(to("arn:aws:iam::111122223333:root"),),
    ),
    Case(
        page=SINGLE_ACCOUNT,
        says="and those allow",
        allowed=True,
        identity=(ALLOW,),
        bucket=(to("arn:aws:iam::111122223333:root"),),
    ),
    Case(page=CROSS_ACCOUNT, says="needs both: only the caller's", allowed=False, identity=(ALLOW,), owner="2"),
    Case(page=CROSS_ACCOUNT, says="only the resource's", allowed=False, bucket=(to(sorted(USER)),), owner="2"),
    Case(
        page=CROSS_ACCOUNT,
        says="both, by name",
        allowed=True,
        identity=(ALLOW,),
        bucket=(to(sorted(USER)),),
        owner="2",
    ),
    Case(
        page=CROSS_ACCOUNT,
        says="both, by account",
        allowed=True,
        identity=(ALLOW,),
        bucket=(to("111122223333"),),
        owner="2",
    ),
    Case(page=BOUNDARIES, says="allows nothing by itself", allowed=False, boundary=(ALLOW,)),
    Case(page=BOUNDARIES, says="the intersection, inside", allowed=True, identity=(ALLOW,), boundary=(ALLOW,)),
    Case(page=BOUNDARIES, says="the intersection, outside", allowed=False, identity=(ALLOW,), boundary=(OTHER,)),
    Case(
        page=BOUNDARIES,
        says="an explicit deny in the boundary",
        allowed=False,
        identity=(ALLOW,),
        bucket=(to(sorted(USER)),),
        boundary=(ALLOW, DENY),
    ),
    Case(
        page=BOUNDARIES,
        says="a resource-based policy for a user's ARN is not limited by an implicit deny of the boundary",
        allowed=True,
        bucket=(to(sorted(USER)),),
        boundary=(OTHER,),
    ),
    Case(
        page=BOUNDARIES,
        says="one for a role's ARN is",
        allowed=False,
        bucket=(to(ROLE),),
        boundary=(OTHER,),
        arns=IN_ROLE,
    ),
    Case(
        page=BOUNDARIES,
        says="one for a role's ARN needs no identity-based policy",
        allowed=True,
        bucket=(to(ROLE),),
        boundary=(ALLOW,),
        arns=IN_ROLE,
    ),
    Case(
        page=BOUNDARIES,
        says="one for a session's ARN is not limited by the boundary",
        allowed=True,
        bucket=(to(SESSION),),
        boundary=(OTHER,),
        arns=IN_ROLE,
    ),
    Case(
        page=SESSIONS,
        says="the intersection, inside",
        allowed=True,
        identity=(ALLOW,),
        session=(ALLOW,),
        arns=IN_ROLE,
    ),
    Case(
        page=SESSIONS,
        says="the intersection, outside",
        allowed=False,
        identity=(ALLOW,),
        session=(OTHER,),
        arns=IN_ROLE,
    ),
    Case(page=SESSIONS, says="allows nothing by itself", allowed=False, session=(ALLOW,), arns=IN_ROLE),
    Case(
        page=SESSIONS,
        says="an explicit deny",
        allowed=False,
        bucket=(to(SESSION),),
        session=(DENY,),
        arns=IN_ROLE,
    ),
    Case(
        page=SESSIONS,
        says="a resource-based policy for the role's ARN is limited by it",
        allowed=False,
        bucket=(to(ROLE),),
        session=(OTHER,),
        arns=IN_ROLE,
    ),
    Case(
        page=SESSIONS,
        says="one for the session's ARN is not",
        allowed=True,
        bucket=(to(SESSION),),
        session=(OTHER,),
        arns=IN_ROLE,
    ),
    Case(
        page=SESSIONS,
        says="the intersection of all three",
        allowed=False,
        identity=(ALLOW,),
        boundary=(OTHER,),
        session=(ALLOW,),
        arns=IN_ROLE,
    ),
]

_ALL_BUT_DELETE = {"Effect": "Allow", "NotAction": "s3:DeleteBucket", "Resource": "arn:aws:s3:::*"}
_ONLY_PAYROLL = {
    "Effect": "Deny",
    "Action": "s3:*",
    "NotResource": ["arn:aws:s3:::HRBucket/Payroll", "arn:aws:s3:::HRBucket/Payroll/*"],
}
_UNLESS_MFA = {
    "Effect": "Deny",
    "NotAction": "iam:*",
    "Resource": "*",
    "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
}

ELEMENTS = [
    Case(page=NOT_ACTION, says="everything but", allowed=True, identity=(_ALL_BUT_DELETE,)),
    Case(
        page=NOT_ACTION,
        says="not the exception",
        allowed=False,
        identity=(_ALL_BUT_DELETE,),
        action="s3:DeleteBucket",
        resource="arn:aws:s3:::bucket",
    ),
    Case(
        page=NOT_ACTION,
        says="not on resources of other services",
        allowed=False,
        identity=(_ALL_BUT_DELETE,),
        action="sqs:SendMessage",
        resource="arn:aws:sqs:eu-west-1:111122223333:q",
    ),
    Case(page=NOT_ACTION, says="a Deny of the rest", allowed=False, identity=(ALLOW, _UNLESS_MFA)),
    Case(
        page=NOT_ACTION,
        says="a Deny of the rest leaves out the exception",
        allowed=True,
        identity=(statement("Allow", "iam:*"), _UNLESS_MFA),
        action="iam:GetUser",
        resource="arn:aws:iam::111122223333:user/ana",
    ),
    Case(
        page=NOT_RESOURCE,
        says="everything but",
        allowed=False,
        identity=(ALLOW, _ONLY_PAYROLL),
        resource="arn:aws:s3:::HRBucket/Other",
    ),
    Case(
        page=NOT_RESOURCE,
        says="the exception is left to other statements",
        allowed=True,
        identity=(ALLOW, _ONLY_PAYROLL),
        resource="arn:aws:s3:::HRBucket/Payroll/2026.csv",
    ),
    Case(page=ACTION, says="case does not matter", allowed=True, identity=(statement("Allow", "S3:gETobject"),)),
    Case(page=ACTION, says="a wildcard", allowed=True, identity=(statement("Allow", "s3:Get*"),)),
    Case(page=ACTION, says="another action", allowed=False, identity=(statement("Allow", "s3:Put*"),)),
    Case(
        page=RESOURCE,
        says="? is one character",
        allowed=True,
        identity=(statement("Allow", resource="arn:aws:s3:::bucket/ke?"),),
    ),
    Case(
        page=RESOURCE,
        says="? is not none",
        allowed=False,
        identity=(statement("Allow", resource="arn:aws:s3:::bucket/key?"),),
    ),
    Case(
        page=RESOURCE,
        says="a * at the end of a segment matches beyond it",
        allowed=True,
        identity=(statement("Allow", resource="arn:aws:s3:*"),),
    ),
    Case(
        page=RESOURCE,
        says="names are case-sensitive",
        allowed=False,
        identity=(statement("Allow", resource="arn:aws:s3:::Bucket/key"),),
    ),
    Case(
        page=VARIABLES,
        says="in a resource",
        allowed=True,
        identity=(statement("Allow", resource="arn:aws:s3:::bucket/${aws:username}/*"),),
        resource="arn:aws:s3:::bucket/ana/x",
        context={"aws:username": "ana"},
    ),
    Case(
        page=VARIABLES,
        says="in a resource, of another user",
        allowed=False,
        identity=(statement("Allow", resource="arn:aws:s3:::bucket/${aws:username}/*"),),
        resource="arn:aws:s3:::bucket/ben/x",
        context={"aws:username": "ana"},
    ),
    Case(
        page=VARIABLES,
        says="without a value nothing matches",
        allowed=False,
        identity=(statement("Allow", resource="arn:aws:s3:::bucket/${aws:PrincipalTag/team}/*"),),
        resource="arn:aws:s3:::bucket//x",
    ),
    Case(
        page=VARIABLES,
        says="a default value",
        allowed=True,
        identity=(statement("Allow", resource="arn:aws:s3:::bucket/${aws:PrincipalTag/team, 'company-wide'}/*"),),
        resource="arn:aws:s3:::bucket/company-wide/x",
    ),
    Case(
        page=VARIABLES,
        says="the value goes before the default",
        allowed=True,
        identity=(statement("Allow", resource="arn:aws:s3:::bucket/${aws:PrincipalTag/team, 'company-wide'}/*"),),
        resource="arn:aws:s3:::bucket/yellow/x",
        context={"aws:principaltag/team": "yellow"},
    ),
    Case(
        page=VARIABLES,
        says="${*} is a star and no wildcard",
        allowed=False,
        identity=(statement("Allow", resource="arn:aws:s3:::bucket/${*}"),),
    ),
    Case(
        page=VARIABLES,
        says="${*}, ${?} and ${$} are those characters",
        allowed=True,
        identity=(statement("Allow", resource="arn:aws:s3:::bucket/${*}${?}${$}"),),
        resource="arn:aws:s3:::bucket/*?$",
    ),
    Case(
        page=VARIABLES,
        says="plain text in documents of an older version",
        allowed=False,
        identity=(statement("Allow", resource="arn:aws:s3:::bucket/${aws:username}/*"),),
        resource="arn:aws:s3:::bucket/ana/x",
        context={"aws:username": "ana"},
        version="2008-10-17",
    ),
    Case(
        page=VARIABLES,
        says="in a condition, with wildcards around it",
        allowed=True,
        identity=(when("StringLike", "s3:prefix", ["", "home/${aws:username}/*"]),),
        context={"aws:username": "ana", "s3:prefix": "home/ana/a"},
    ),
]

_TEAMS = ["Preprod", "Storage"]
_SIZES = {"NumericLessThanEquals": {"s3:max-keys": "10"}}
_BOTH = {
    "StringEquals": {"aws:PrincipalTag/a": ["1", "2"], "aws:PrincipalTag/b": "3"},
    "Bool": {"aws:SecureTransport": True},
}


def tags(**context: str) -> dict[str, str]:
    return {f"aws:principaltag/{key}": value for key, value in context.items()}


CONDITIONS = [
    condition(OPERATORS, "StringEquals minds case", when("StringEquals", "s3:prefix", "a"), False, s3__prefix="A"),
    condition(OPERATORS, "…IgnoreCase", when("StringEqualsIgnoreCase", "s3:prefix", "a"), True, s3__prefix="A"),
    condition(OPERATORS, "without wildcards", when("StringEquals", "s3:prefix", "a*"), False, s3__prefix="ab"),
    condition(OPERATORS, "StringLike has them", when("StringLike", "s3:prefix", "a*"), True, s3__prefix="ab"),
    condition(OPERATORS, "a missing key does not match", when("StringLike", "s3:prefix", "*"), False),
    condition(OPERATORS, "a missing key matches a negation", when("StringNotLike", "s3:prefix", "a*"), True),
    condition(OPERATORS, "ArnNotLike likewise", when("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::1:role/*"), True),
    condition(OPERATORS, "…IfExists without the key", when("StringLikeIfExists", "s3:prefix", "a*"), True),
    condition(OPERATORS, "…IfExists with it", when("StringLikeIfExists", "s3:prefix", "a*"), False, s3__prefix="b"),
    condition(OPERATORS, "Null true: without the key", when("Null", "aws:TokenIssueTime", "true"), True),
    condition(OPERATORS, "Null true: with it", when("Null", "s3:prefix", "true"), False, s3__prefix=""),
    condition(OPERATORS, "Null false: with it", when("Null", "s3:prefix", "false"), True, s3__prefix="a"),
    condition(OPERATORS, "Null false: without the key", when("Null", "s3:prefix", "false"), False),
    condition(OPERATORS, "Bool", when("Bool", "aws:SecureTransport", "true"), False, aws__SecureTransport="false"),
    condition(OPERATORS, "BoolIfExists", when("BoolIfExists", "aws:MultiFactorAuthPresent", "true"), True),
    condition(OPERATORS, "Numeric", statement("Allow", Condition=_SIZES), True, s3__max_keys="10"),
    condition(OPERATORS, "Numeric, beyond", statement("Allow", Condition=_SIZES), False, s3__max_keys="11"),
    condition(OPERATORS, "not numeric", statement("Allow", Condition=_SIZES), False, s3__max_keys="many"),
    condition(
        OPERATORS,
        "dates",
        when("DateGreaterThan", "aws:TokenIssueTime", "2020-01-01T00:00:01Z"),
        True,
        aws__TokenIssueTime="2026-01-01T00:00:00Z",
    ),
    condition(
        OPERATORS,
        "dates as seconds since the epoch",
        when("DateLessThan", "aws:CurrentTime", "1577836801"),
        False,
        aws__CurrentTime="2026-01-01T00:00:00Z",
    ),
    condition(OPERATORS, "BinaryEquals", when("BinaryEquals", "x:key", "QmluYXJ5"), True, x__key="QmluYXJ5"),
    condition(
        OPERATORS, "a network", when("IpAddress", "aws:SourceIp", "203.0.113.0/24"), True, aws__SourceIp="203.0.113.5"
    ),
    condition(
        OPERATORS, "outside", when("NotIpAddress", "aws:SourceIp", "203.0.113.0/24"), False, aws__SourceIp="203.0.113.5"
    ),
    condition(
        OPERATORS,
        "IPv6",
        when("IpAddress", "aws:SourceIp", ["203.0.113.0/24", "2001:DB8:1234:5678::/64"]),
        True,
        aws__SourceIp="2001:db8:1234:5678::9",
    ),
    condition(
        OPERATORS,
        "the parts of an ARN are compared one by one",
        when("ArnLike", "aws:SourceArn", "arn:aws:sns:*:123456789012:t*"),
        True,
        aws__SourceArn="arn:aws:sns:eu-west-1:123456789012:topic",
    ),
    condition(
        OPERATORS,
        "so a wildcard does not reach into the next",
        when("ArnEquals", "aws:SourceArn", "arn:aws:sns:*"),
        False,
        aws__SourceArn="arn:aws:sns:eu-west-1:123456789012:topic",
    ),
    Case(
        page=LOGIC,
        says="AND over operators and keys, OR over values",
        allowed=True,
        identity=(statement("Allow", Condition=_BOTH),),
        context=tags(a="2", b="3") | {"aws:securetransport": "true"},
    ),
    Case(
        page=LOGIC,
        says="AND over keys",
        allowed=False,
        identity=(statement("Allow", Condition=_BOTH),),
        context=tags(a="2", b="4") | {"aws:securetransport": "true"},
    ),
    Case(
        page=LOGIC,
        says="AND over operators",
        allowed=False,
        identity=(statement("Allow", Condition=_BOTH),),
        context=tags(a="2", b="3") | {"aws:securetransport": "false"},
    ),
    condition(LOGIC, "NOR: one of the values", when("StringNotEquals", "s3:prefix", ["a", "b"]), False, s3__prefix="b"),
    condition(LOGIC, "NOR of numbers", when("NumericNotEquals", "s3:max-keys", [1, 2]), False, s3__max_keys="1"),
    condition(LOGIC, "NOR: none of them", when("StringNotEquals", "s3:prefix", ["a", "b"]), True, s3__prefix="c"),
    condition(
        MULTIVALUED,
        "ForAllValues: every value matches one",
        when("ForAllValues:StringEquals", "aws:TagKeys", _TEAMS),
        True,
        aws__TagKeys=("Storage",),
    ),
    condition(
        MULTIVALUED,
        "ForAllValues: one does not",
        when("ForAllValues:StringEquals", "aws:TagKeys", _TEAMS),
        False,
        aws__TagKeys=("Storage", "Other"),
    ),
    condition(
        MULTIVALUED,
        "ForAllValues is true without the key",
        when("ForAllValues:StringEquals", "aws:TagKeys", _TEAMS),
        True,
    ),
    Case(
        page=MULTIVALUED,
        says="which Null prevents",
        allowed=False,
        identity=(
            statement(
                "Allow",
                Condition={"ForAllValues:StringEquals": {"aws:TagKeys": _TEAMS}, "Null": {"aws:TagKeys": "false"}},
            ),
        ),
    ),
    condition(
        MULTIVALUED,
        "ForAnyValue: one matches",
        when("ForAnyValue:StringLike", "aws:TagKeys", "Sto*"),
        True,
        aws__TagKeys=("Other", "Storage"),
    ),
    condition(
        MULTIVALUED,
        "ForAnyValue: none does",
        when("ForAnyValue:StringEquals", "aws:TagKeys", _TEAMS),
        False,
        aws__TagKeys=("Other",),
    ),
    condition(
        MULTIVALUED,
        "ForAnyValue is false without the key",
        when("ForAnyValue:StringEquals", "aws:TagKeys", _TEAMS),
        False,
    ),
    condition(
        MULTIVALUED,
        "ForAnyValue of a negation: one value that is none of them",
        when("ForAnyValue:StringNotEquals", "aws:TagKeys", _TEAMS),
        True,
        aws__TagKeys=("Other", "Storage"),
    ),
]


def document(statements: tuple[Document, ...], version: str) -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


@pytest.mark.parametrize(
    "case", [*KINDS, *ELEMENTS, *CONDITIONS], ids=lambda case: f"{case.page[len(GUIDE) :]}: {case.says}"
)
def test_a_request_is_decided_as_aws_documents(case: Case) -> None:
    request = policy.Request(action=case.action, resource=case.resource, context=case.context)
    principal = policy.Principal(account="111122223333", arns=case.arns)

    def decide(statements: tuple[Document, ...] | None) -> Any:
        if statements is None:
            return policy.Decision.ALLOWED
        return policy.evaluate(document(statements, case.version), request, principal)

    reason = policy.denial_reason(
        decide(case.identity),
        decide(case.bucket),
        boundary=decide(case.boundary),
        session=decide(case.session),
        foreign=case.owner != "111122223333",
    )
    assert (reason is None) == case.allowed, reason
