"""The evaluation held against what AWS documents, case by case: each cites its page of the IAM User Guide."""

import json
from typing import Any

import pytest

from tests.policy_evaluator import policy
from tests.rehearsal.emulator_plugin.aws_case import (
    ALLOW,
    BOUNDARIES,
    CROSS_ACCOUNT,
    DENY,
    DENY_ALLOW,
    EXPLICIT_IMPLICIT,
    GUIDE,
    IN_ROLE,
    OTHER,
    ROLE,
    SESSION,
    SESSIONS,
    SINGLE_ACCOUNT,
    USER,
    Case,
    Document,
    to,
)
from tests.rehearsal.emulator_plugin.aws_condition_cases import CONDITIONS
from tests.rehearsal.emulator_plugin.aws_element_cases import ELEMENTS

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
