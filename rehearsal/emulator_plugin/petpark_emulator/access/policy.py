"""Policy documents, read and evaluated. No LocalStack in here.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html, and pages below it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from petpark_emulator.access.conditions import Condition, Context, NoValue, Pattern, Unsupported

VERSION_WITH_VARIABLES = "2012-10-17"
ELEMENTS = frozenset({"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "Condition"})
"""`NotPrincipal` is not evaluated; AWS recommends `aws:PrincipalArn` with `ArnNotEquals` instead."""


class Decision(Enum):
    """What one or more documents decide on one request; of two, the one with the greater value counts."""

    IMPLICIT_DENY = 0  # no statement applies
    DELEGATED = 1  # a resource's policy leaves it to the account's identity policies
    ALLOWED = 2
    ALLOWED_DIRECTLY = 3  # a resource's policy names the user or the role's session itself
    EXPLICIT_DENY = 4


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who makes a request. A session of a role is named by its own ARN and by its role's."""

    account: str
    arns: frozenset[str] = frozenset()
    service: str | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """`action` on `resource`. `resource` None is one that is not worked out here: it fits every pattern of an Allow,
    and of a Deny only `*`. `complete`: a key that `context` lacks is not in the request; otherwise the rehearsal may
    not know it, and a condition on such a key raises `Unsupported`.
    """

    action: str
    resource: str | None
    context: Context = field(default_factory=dict[str, str | tuple[str, ...]])
    complete: bool = True


@dataclass(frozen=True, kw_only=True)
class Matcher:
    """`Action` or `Resource`, or with `negated` their `Not…` forms."""

    patterns: tuple[Pattern, ...]
    negated: bool = False

    def covers(self, value: str, context: Context) -> bool:
        """Whether the element includes `value`."""
        return any(pattern.matches(value, context) for pattern in self.patterns) != self.negated


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a document. A trust policy has no `resources`, an identity's own policy no `principals`."""

    allow: bool
    actions: Matcher
    resources: Matcher | None
    principals: Mapping[str, tuple[str, ...]] | None
    conditions: tuple[Condition, ...]

    def applies(self, request: Request) -> bool:
        """Whether the statement is about `request`, for any caller."""
        try:
            return (
                self.actions.covers(request.action.lower(), request.context)
                and self._covers(request)
                and all(self._holds(condition, request) for condition in self.conditions)
            )
        except NoValue:
            return False

    def _covers(self, request: Request) -> bool:
        if self.resources is None:
            return True
        if request.resource is None:
            return self.allow or (not self.resources.negated and "*" in (p.text for p in self.resources.patterns))
        return self.resources.covers(request.resource, request.context)

    @staticmethod
    def _holds(condition: Condition, request: Request) -> bool:
        if not request.complete:
            condition.check()
        return condition.holds(request.context)


@lru_cache(maxsize=1024)
def read(document: str) -> tuple[Statement, ...]:
    """The statements of a document, plain or URL-quoted. Raises `Unsupported` for elements that are not evaluated."""
    policy = json.loads(document if document.lstrip().startswith("{") else unquote(document))
    variables = policy.get("Version") == VERSION_WITH_VARIABLES
    return tuple(_statement(entry, variables=variables) for entry in _list(policy["Statement"]))


def check(document: str) -> None:
    """Raise `Unsupported` if the rehearsal could meet something in this document that it cannot evaluate."""
    for statement in read(document):
        for pattern in statement.resources.patterns if statement.resources else ():
            pattern.check()
        # Services and foreign identities are never asked for here.
        if statement.principals is None or "AWS" in statement.principals:
            for condition in statement.conditions:
                condition.check()


def evaluate(documents: str | Iterable[str], request: Request, principal: Principal) -> Decision:
    """What a document, or several of one kind, decide on `request` by `principal`; an explicit deny counts most."""
    decision = Decision.IMPLICIT_DENY
    for document in [documents] if isinstance(documents, str) else documents:
        for statement in read(document):
            named = _named(statement.principals, principal, denying=not statement.allow)
            if named is Decision.IMPLICIT_DENY or not statement.applies(request):
                continue
            decision = max(decision, named if statement.allow else Decision.EXPLICIT_DENY, key=lambda d: d.value)
    return decision


def denial_reason(
    identity: Decision,
    resource: Decision,
    *,
    boundary: Decision = Decision.ALLOWED,
    session: Decision = Decision.ALLOWED,
    must_agree: bool = False,
    foreign: bool = False,
) -> str | None:
    """Why a request is denied, from what the policies of each kind decide; None if it is allowed.

    `boundary` and `session` are `ALLOWED` where there are no such policies. `must_agree`: nothing is allowed without
    the resource's policy, as with roles and keys. `foreign`: the resource belongs to another account, whose policy and
    the caller's own must both allow.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
    """
    kinds = {
        "an identity-based policy": identity,
        "a resource-based policy": resource,
        "a permissions boundary": boundary,
        "a session policy": session,
    }
    for kind, decision in kinds.items():
        if decision is Decision.EXPLICIT_DENY:
            return f"with an explicit deny in {kind}"
    if resource is Decision.ALLOWED_DIRECTLY and not foreign:
        return None  # not limited by what the other kinds leave out
    if resource is Decision.IMPLICIT_DENY and (must_agree or foreign):
        return "because no resource-based policy allows it"
    if identity is not Decision.ALLOWED and (foreign or resource is not Decision.ALLOWED):
        return "because no identity-based policy allows it"
    if boundary is not Decision.ALLOWED:
        return "because no permissions boundary allows it"
    return None if session is Decision.ALLOWED else "because no session policy allows it"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _statement(entry: Mapping[str, Any], *, variables: bool) -> Statement:
    if unknown := set(entry) - ELEMENTS:
        raise Unsupported(f"the policy element {', '.join(sorted(unknown))}")
    principals = entry.get("Principal")
    if isinstance(principals, str):
        principals = {"AWS": principals}
    return Statement(
        allow={"Allow": True, "Deny": False}[entry["Effect"]],
        actions=_matcher(entry, "Action", variables=False),
        resources=_matcher(entry, "Resource", variables=variables)
        if {"Resource", "NotResource"} & set(entry)
        else None,
        principals=None if principals is None else {kind: tuple(_list(names)) for kind, names in principals.items()},
        conditions=tuple(
            Condition.read(operator, key, _list(values), variables=variables)
            for operator, keys in (entry.get("Condition") or {}).items()
            for key, values in keys.items()
        ),
    )


def _matcher(entry: Mapping[str, Any], element: str, *, variables: bool) -> Matcher:
    negated = element not in entry
    texts = _list(entry[f"Not{element}" if negated else element])
    texts = [text.lower() for text in texts] if element == "Action" else texts
    return Matcher(patterns=tuple(Pattern(text=text, variables=variables) for text in texts), negated=negated)


def _named(principals: Mapping[str, tuple[str, ...]] | None, principal: Principal, *, denying: bool) -> Decision:
    """Whether a statement is about `principal`: allowed by name, delegated to its whole account, or not at all."""
    if principals is None:  # an identity's own policy
        return Decision.ALLOWED
    if principal.service is not None:
        named = principal.service in principals.get("Service", ())
        return Decision.ALLOWED if named else Decision.IMPLICIT_DENY
    names = principals.get("AWS", ())
    if any(":role/" not in arn for arn in principal.arns.intersection(names)):
        return Decision.ALLOWED_DIRECTLY
    if "*" in names or principal.arns.intersection(names):
        return Decision.ALLOWED
    if principal.account in names or f"arn:aws:iam::{principal.account}:root" in names:
        return Decision.ALLOWED if denying else Decision.DELEGATED
    return Decision.IMPLICIT_DENY
