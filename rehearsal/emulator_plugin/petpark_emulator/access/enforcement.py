"""The request hook that refuses.

As on AWS, an explicit denial anywhere refuses; else an identity's policy or the bucket's policy must
allow. A role's trust policy and a KMS key's policy must agree, by naming the caller or by leaving it to the account.
Calls between LocalStack's own services pass, and so does `GetCallerIdentity`. Everything here is on loopback without
TLS, which counts as TLS: `aws:SecureTransport` is always true.
"""

import json
import re

from localstack.aws.api import CommonServiceException, RequestContext

from petpark_emulator.access import storage
from petpark_emulator.access.asked import Asked
from petpark_emulator.access.identities import IAM_REGION, Caller, caller_of
from petpark_emulator.access.policy import Principal, Question, Unsupported, Verdict, judge, refusal
from petpark_emulator.access.policy import check as check_policy
from petpark_emulator.access.questions import PREFIXES, questions

FREE = frozenset({("sts", "GetCallerIdentity")})
NOT_REHEARSED = frozenset({("sts", "AssumeRoleWithWebIdentity"), ("sts", "AssumeRoleWithSAML")})
DOCUMENT_MEMBERS = {
    ("iam", "CreatePolicy"): "PolicyDocument",
    ("iam", "CreatePolicyVersion"): "PolicyDocument",
    ("iam", "CreateRole"): "AssumeRolePolicyDocument",
    ("iam", "PutRolePolicy"): "PolicyDocument",
    ("iam", "PutUserPolicy"): "PolicyDocument",
    ("iam", "UpdateAssumeRolePolicy"): "PolicyDocument",
    ("s3", "PutBucketPolicy"): "Policy",
}
"""Requests that write a policy which is evaluated later."""

JSON_SERVICES = frozenset(
    {"budgets", "cloudtrail", "ecr", "events", "kms", "logs", "scheduler", "secretsmanager", "ssm", "states"}
)

INSTANCE = re.compile(r"i-[0-9a-f]+")


def apply() -> None:
    """Ask before every request from now on."""
    from localstack.aws import handlers

    handlers.serve_custom_service_request_handlers.append(check)


def check(_chain: object, context: RequestContext, _response: object) -> None:
    """Raise the service's AccessDenied for a request that AWS would refuse."""
    if context.service is None or context.operation is None or context.is_internal_call:
        return
    operation = (context.service.service_name, context.operation.name)
    if operation in FREE:
        return
    asked = Asked(
        service=PREFIXES.get(context.service.signing_name, context.service.signing_name),
        operation=context.operation.name,
        values={name: value for name, value in (context.service_request or {}).items() if value is not None},
        account=context.account_id,
        region=context.region,
    )
    try:
        _refuse_unreadable(operation, asked)
        caller = caller_of(context)
        for question in questions(asked):
            _decide(caller, asked, question)
    except Unsupported as unsupported:
        message = f"The rehearsal does not evaluate {unsupported}. Do without, or teach it to petpark_emulator/access."
        raise CommonServiceException("MalformedPolicyDocument", message, 400, True) from unsupported


def _refuse_unreadable(operation: tuple[str, str], asked: Asked) -> None:
    if operation in NOT_REHEARSED:
        raise Unsupported(operation[1])
    if operation == ("sts", "AssumeRole") and (asked.values.get("Policy") or asked.values.get("PolicyArns")):
        raise Unsupported("session policies")
    if member := DOCUMENT_MEMBERS.get(operation):
        try:
            check_policy(asked.values[member])
        except (KeyError, json.JSONDecodeError):
            return  # not a policy at all: the service's own refusal says it better


def _decide(caller: Caller, asked: Asked, question: Question) -> None:
    # A service acts as itself, not as the administrator in whose name the rehearsal asks for it.
    service = _ec2_service(asked) if caller.policies is None else None
    principal = service or caller.principal
    context = ({} if service else caller.context) | {"aws:securetransport": "true"} | dict(question.context)
    question = Question(action=question.action, resource=question.resource, context=context)

    identity = Verdict.ALLOWED
    if caller.policies is not None:
        verdicts = [judge(document, question, principal) for document in caller.policies]
        identity = max(verdicts, key=lambda v: v.value, default=Verdict.SILENT)

    document, must_agree = _resource_policy(asked, question)
    of_resource = judge(document, question, principal) if document else Verdict.SILENT
    foreign = _owner(asked, question.resource) != principal.account
    if reason := refusal(identity, of_resource, must_agree=must_agree, foreign=foreign):
        _refuse(caller, asked, question, reason)


def _owner(asked: Asked, resource: str | None) -> str:
    """The account of a resource; a bucket's ARN does not tell, and what has no account is the caller's own."""
    if resource is None or resource == "*":
        return asked.account
    if resource.startswith("arn:aws:s3:::"):
        return storage.owner(asked, _bucket_name(resource))
    parts = resource.split(":")
    return (parts[4] if len(parts) > 4 else "") or asked.account


def _ec2_service(asked: Asked) -> Principal | None:
    """EC2, where it asks for an instance's credentials: its sessions are named after the instance."""
    session = asked.values.get("RoleSessionName") or ""
    if asked.operation == "AssumeRole" and INSTANCE.fullmatch(session):
        return Principal(account=asked.account, service="ec2.amazonaws.com")
    return None


def _resource_policy(asked: Asked, question: Question) -> tuple[str | None, bool]:
    """The policy of the resource in question, and whether nothing goes without its consent."""
    if question.resource is None:
        return None, False
    match question.action.partition(":")[0]:
        case "s3":
            return _bucket_policy(question.resource, asked), False
        case "sts" if asked.operation == "AssumeRole":
            return _trust_policy(question.resource, asked), True
        case "kms":
            policy = _key_policy(question.resource, asked)
            return policy, policy is not None
        case _:
            return None, False


def _bucket_policy(resource: str, asked: Asked) -> str | None:
    bucket = storage.find_bucket(asked, _bucket_name(resource))
    return bucket.policy if bucket else None


def _bucket_name(resource: str) -> str:
    return resource.removeprefix("arn:aws:s3:::").partition("/")[0]


def _trust_policy(resource: str, asked: Asked) -> str | None:
    from localstack.services.iam.models import iam_stores

    role = iam_stores[_owner(asked, resource)][IAM_REGION].ROLES.get(resource.rpartition("/")[2])
    return role.role["AssumeRolePolicyDocument"] if role else None


def _key_policy(resource: str, asked: Asked) -> str | None:
    from localstack.services.kms.models import kms_stores

    key = kms_stores[_owner(asked, resource)][asked.region].keys.get(resource.rpartition("/")[2])
    return key.policy if key else None


def _refuse(caller: Caller, asked: Asked, question: Question, reason: str) -> None:
    on = f" on resource: {question.resource}" if question.resource else ""
    message = f"User: {caller.arn} is not authorized to perform: {question.action}{on} {reason}"
    if asked.service == "ec2":
        raise CommonServiceException("UnauthorizedOperation", message, 403, True)
    if asked.service in JSON_SERVICES:
        raise CommonServiceException("AccessDeniedException", message, 400, True)
    raise CommonServiceException("AccessDenied", message, 403, True)
