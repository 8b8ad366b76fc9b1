"""Policy documents, read and evaluated. No LocalStack in here.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

KEYS = frozenset(
    {
        "aws:principalarn",
        "aws:securetransport",
        "aws:userid",
        "aws:username",
        "cloudwatch:namespace",
        "ec2:createaction",
        "ec2:islaunchtemplateresource",
        "ec2:launchtemplate",
        "iam:passedtoservice",
        "kms:messagetype",
        "kms:signingalgorithm",
        "kms:viaservice",
        "s3:if-none-match",
        "s3:objectcreationoperation",
        "s3:prefix",
        "s3:x-amz-server-side-encryption",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "sts:rolesessionname",
    }
)
"""Condition keys, in lower case, that `questions` and `enforcement` give a value to wherever AWS does."""

KEY_FAMILIES = ("aws:requesttag/", "aws:resourcetag/", "ec2:resourcetag/", "kms:encryptioncontext:")

VARIABLES = frozenset({"aws:username", "sts:rolesessionname"})
"""Keys, in lower case, whose values a condition may compare with, as `${key}`."""

VARIABLE = re.compile(r"\$\{([^}]*)\}")
WITH_VARIABLES = ("StringEquals", "StringLike")
"""Operators that may. AWS leaves open what a negated one makes of a variable without a value."""

VERSION_WITH_VARIABLES = "2012-10-17"
"""In documents of an older version they are plain text."""

ELEMENTS = frozenset({"Sid", "Effect", "Action", "Resource", "Principal", "Condition"})


class Unsupported(Exception):
    """A policy uses something that is not evaluated here."""


class Verdict(Enum):
    """What one document says to one question."""

    SILENT = 0
    DELEGATED = 1  # a resource's policy leaves it to the account's identity policies
    ALLOWED = 2
    DENIED = 3


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who asks. A session of a role is named by its own ARN and by its role's."""

    account: str
    arns: frozenset[str] = frozenset()
    service: str | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """May `action` be done to `resource`? `resource` None is one that is not worked out here: it fits every pattern
    of an Allow, and of a Deny only `*`. `context` has condition keys in lower case.
    """

    action: str
    resource: str | None
    context: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a document. Conditions are operator, key and values."""

    allow: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...] | None
    principals: Mapping[str, tuple[str, ...]] | None
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]


@lru_cache(maxsize=1024)
def read(document: str) -> tuple[Statement, ...]:
    """The statements of a document, plain or URL-quoted. Raises `Unsupported` for elements that are not evaluated."""
    text = document if document.lstrip().startswith("{") else unquote(document)
    policy = json.loads(text)
    entries = _list(policy["Statement"])
    if "${" in json.dumps(entries) and policy.get("Version") != VERSION_WITH_VARIABLES:
        raise Unsupported(f"policy variables in a document whose version is not {VERSION_WITH_VARIABLES}")
    return tuple(_statement(entry) for entry in entries)


def check(document: str) -> None:
    """Raise `Unsupported` if `judge` could come to something in this document that it cannot evaluate."""
    for statement in read(document):
        # What is said of services and foreign identities is never asked here.
        if statement.principals is None or "AWS" in statement.principals:
            for condition in statement.conditions:
                _check(*condition)


def refusal(identity: Verdict, resource: Verdict, *, must_agree: bool, foreign: bool) -> str | None:
    """Why a request is refused, from what the caller's own policies and the resource's say; None if it is allowed.

    `must_agree`: nothing goes without the consent of the resource's policy, as with roles and keys. `foreign`: the
    resource belongs to another account, whose policy and the caller's own must both allow.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
    """
    if identity is Verdict.DENIED:
        return "with an explicit deny in an identity-based policy"
    if resource is Verdict.DENIED:
        return "with an explicit deny in a resource-based policy"
    if resource is Verdict.ALLOWED and not foreign:
        return None
    if resource is Verdict.SILENT and (must_agree or foreign):
        return "because no resource-based policy allows it"
    return None if identity is Verdict.ALLOWED else "because no identity-based policy allows it"


def judge(document: str, question: Question, principal: Principal) -> Verdict:
    """What `document` says to `question`, asked by `principal`; an explicit denial outweighs all else."""
    verdict = Verdict.SILENT
    for statement in read(document):
        named = _named(statement.principals, principal, denying=not statement.allow)
        if named is Verdict.SILENT or not _applies(statement, question):
            continue
        if not statement.allow:
            return Verdict.DENIED
        verdict = max(verdict, named, key=lambda v: v.value)
    return verdict


def matches(pattern: str, value: str) -> bool:
    """IAM's wildcards: `*` is any text, `?` any character, and nothing else is special."""
    return _regex(pattern).fullmatch(value) is not None


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern), re.DOTALL)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _statement(entry: Mapping[str, Any]) -> Statement:
    if unknown := set(entry) - ELEMENTS:
        raise Unsupported(f"the policy element {', '.join(sorted(unknown))}")
    if "${" in json.dumps(entry.get("Resource")):
        raise Unsupported("policy variables in resources")
    principals = entry.get("Principal")
    if isinstance(principals, str):
        principals = {"AWS": principals}
    return Statement(
        allow={"Allow": True, "Deny": False}[entry["Effect"]],
        actions=tuple(action.lower() for action in _list(entry["Action"])),
        resources=tuple(_list(entry["Resource"])) if "Resource" in entry else None,
        principals=None if principals is None else {kind: tuple(_list(names)) for kind, names in principals.items()},
        conditions=tuple(
            (operator, key, tuple(str(v).lower() if isinstance(v, bool) else str(v) for v in _list(values)))
            for operator, keys in (entry.get("Condition") or {}).items()
            for key, values in keys.items()
        ),
    )


def _check(operator: str, key: str, expected: Sequence[str]) -> None:
    if operator.removesuffix("IfExists") not in OPERATORS and operator != "Null":
        raise Unsupported(f"the condition operator {operator}")
    if key.lower() not in KEYS and not key.lower().startswith(KEY_FAMILIES):
        raise Unsupported(f"the condition key {key}")
    for value in expected:
        if "${" in VARIABLE.sub(lambda found: "" if found[1].lower() in VARIABLES else found[0], value):
            raise Unsupported(f"the policy variables of {value}")
        if "${" in value and operator not in WITH_VARIABLES:
            raise Unsupported(f"policy variables with the condition operator {operator}")


def _applies(statement: Statement, question: Question) -> bool:
    return (
        any(matches(pattern, question.action.lower()) for pattern in statement.actions)
        and _covers(statement, question.resource)
        and all(_holds(*condition, question.context) for condition in statement.conditions)
    )


def _covers(statement: Statement, resource: str | None) -> bool:
    if statement.resources is None:  # a trust policy
        return True
    if resource is None:
        return statement.allow or "*" in statement.resources
    return any(matches(pattern, resource) for pattern in statement.resources)


def _named(principals: Mapping[str, tuple[str, ...]] | None, asker: Principal, *, denying: bool) -> Verdict:
    """Whether a statement is about `asker`: ALLOWED by name, DELEGATED by its whole account, or SILENT."""
    if principals is None:  # an identity's own policy
        return Verdict.ALLOWED
    if asker.service is not None:
        return Verdict.ALLOWED if asker.service in principals.get("Service", ()) else Verdict.SILENT
    names = principals.get("AWS", ())
    if "*" in names or asker.arns.intersection(names):
        return Verdict.ALLOWED
    if asker.account in names or f"arn:aws:iam::{asker.account}:root" in names:
        return Verdict.ALLOWED if denying else Verdict.DELEGATED
    return Verdict.SILENT


def _any(test: Callable[[str, str], bool]) -> Callable[[Sequence[str], str], bool]:
    return lambda expected, actual: any(test(value, actual) for value in expected)


def _none(test: Callable[[str, str], bool]) -> Callable[[Sequence[str], str], bool]:
    return lambda expected, actual: not any(test(value, actual) for value in expected)


def _equal(expected: str, actual: str) -> bool:
    return expected == actual


def _same_truth(expected: str, actual: str) -> bool:
    return expected.lower() == actual.lower()


OPERATORS: Mapping[str, Callable[[Sequence[str], str], bool]] = {
    "StringEquals": _any(_equal),
    "StringNotEquals": _none(_equal),
    "StringLike": _any(matches),
    "StringNotLike": _none(matches),
    "ArnEquals": _any(matches),
    "ArnLike": _any(matches),
    "ArnNotEquals": _none(matches),
    "ArnNotLike": _none(matches),
    "Bool": _any(_same_truth),
}
"""Each with `IfExists`, too; `Null` is apart, because it asks for the key and not for its value."""


def _holds(operator: str, key: str, expected: Sequence[str], context: Mapping[str, str]) -> bool:
    _check(operator, key, expected)
    actual = context.get(key.lower())
    if operator == "Null":
        return str(actual is None).lower() in [value.lower() for value in expected]
    if actual is None:
        return operator.endswith("IfExists") or "Not" in operator
    variables = {name: context.get(name.lower(), "") for value in expected for name in VARIABLE.findall(value)}
    # AWS passes over a statement with a variable that has no value; and neither a user's nor a session's name can have
    # a wildcard there.
    if any(not text or "*" in text or "?" in text for text in variables.values()):
        return False
    values = [VARIABLE.sub(lambda found: variables[found[1]], value) for value in expected]
    return OPERATORS[operator.removesuffix("IfExists")](values, actual)
