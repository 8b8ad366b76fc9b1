"""The request hook that refuses.

As on AWS, an explicit deny anywhere refuses; else an identity's policy or the bucket's policy must allow. A role's
trust policy and a KMS key's policy must agree, by naming the caller or by leaving it to the account.
Calls between LocalStack's own services pass, and so does `GetCallerIdentity`. Everything here is on loopback without
TLS, which counts as TLS: `aws:SecureTransport` is always true.
"""

import json
import logging
import re

from localstack.aws.api import CommonServiceException, RequestContext

from petpark_emulator.access import storage
from petpark_emulator.access.api_call import ApiCall
from petpark_emulator.access.conditions import Unsupported
from petpark_emulator.access.identities import Caller, caller_of, iam_store, remember_session
from petpark_emulator.access.policy import Decision, Principal, Request, denial_reason, evaluate
from petpark_emulator.access.policy import check as check_policy
from petpark_emulator.access.required import PREFIXES, required

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
    ("sts", "AssumeRole"): "Policy",
}
"""Requests that write a policy which is evaluated later."""

JSON_SERVICES = frozenset({"budgets", "events", "glue", "kms", "logs", "scheduler", "secretsmanager", "ssm", "states"})

INSTANCE = re.compile(r"i-[0-9a-f]+")
LOG = logging.getLogger("petpark.requests")
"""A line for each permission that a request needed and had: who, action, resource. Tests compare roles with it."""


def apply() -> None:
    """Check every request from now on."""
    from localstack.aws import handlers

    handlers.serve_custom_service_request_handlers.append(check)
    handlers.run_custom_response_handlers.append(_note_session)


def _note_session(chain: object, context: RequestContext, response: object) -> None:  # noqa: ARG001 — the parameters are the handler's
    if context.operation is not None and context.operation.name == "AssumeRole":
        remember_session(context)


def check(chain: object, context: RequestContext, response: object) -> None:  # noqa: ARG001 — the parameters are the handler's
    """Raise the service's AccessDenied for a request that AWS would refuse."""
    if context.service is None or context.operation is None or context.is_internal_call:
        return
    operation = (context.service.service_name, context.operation.name)
    if operation in FREE:
        return
    call = ApiCall(
        service=PREFIXES.get(context.service.signing_name, context.service.signing_name),
        operation=context.operation.name,
        values={name: value for name, value in (context.service_request or {}).items() if value is not None},
        account=context.account_id,
        region=context.region,
    )
    try:
        _refuse_unreadable(operation, call)
        caller = caller_of(context)
        for request in required(call):
            _decide(caller, call, request)
            LOG.info("%s %s %s", caller.arn, request.action, request.resource or "*")
    except Unsupported as unsupported:
        message = f"The rehearsal does not evaluate {unsupported}. Do without it, or add it to petpark_emulator/access."
        raise CommonServiceException("MalformedPolicyDocument", message, 400, True) from unsupported


def _refuse_unreadable(operation: tuple[str, str], call: ApiCall) -> None:
    if operation in NOT_REHEARSED:
        raise Unsupported(operation[1])
    if member := DOCUMENT_MEMBERS.get(operation):
        try:
            check_policy(call.values[member])
        except (KeyError, json.JSONDecodeError):
            return  # not a policy at all: the service's own error says it better


def _decide(caller: Caller, call: ApiCall, request: Request) -> None:
    # A service acts as itself, not as the administrator in whose name the rehearsal asks for it.
    service = _ec2_service(call) if caller.policies is None else None
    principal = service or caller.principal
    context = ({} if service else caller.context) | {"aws:securetransport": "true"} | dict(request.context)
    request = Request(action=request.action, resource=request.resource, context=context, complete=False)

    def decide(documents: tuple[str, ...] | None) -> Decision:
        return Decision.ALLOWED if documents is None else evaluate(documents, request, principal)

    document, must_agree = _resource_policy(call, request)
    if reason := denial_reason(
        decide(caller.policies),
        decide((document,) if document else ()),
        boundary=decide(caller.boundary),
        session=decide(caller.session),
        must_agree=must_agree,
        foreign=_owner(call, request.resource) != principal.account,
    ):
        _refuse(caller, call, request, reason)


def _owner(call: ApiCall, resource: str | None) -> str:
    """The account of a resource; a bucket's ARN does not tell, and what has no account is the caller's own."""
    if resource is None or resource == "*":
        return call.account
    if resource.startswith("arn:aws:s3:::"):
        return storage.owner(call, _bucket_name(resource))
    parts = resource.split(":")
    return (parts[4] if len(parts) > 4 else "") or call.account


def _ec2_service(call: ApiCall) -> Principal | None:
    """EC2, where it asks for an instance's credentials: its sessions are named after the instance."""
    session = call.values.get("RoleSessionName") or ""
    if call.operation == "AssumeRole" and INSTANCE.fullmatch(session):
        return Principal(account=call.account, service="ec2.amazonaws.com")
    return None


def _resource_policy(call: ApiCall, request: Request) -> tuple[str | None, bool]:
    """The policy of the resource in request, and whether nothing goes without its consent."""
    if request.resource is None:
        return None, False
    match request.action.partition(":")[0]:
        case "s3":
            return _bucket_policy(request.resource, call), False
        case "sts" if call.operation == "AssumeRole":
            return _trust_policy(request.resource, call), True
        case "kms":
            policy = _key_policy(request.resource, call)
            return policy, policy is not None
        case _:
            return None, False


def _bucket_policy(resource: str, call: ApiCall) -> str | None:
    bucket = storage.find_bucket(call, _bucket_name(resource))
    return bucket.policy if bucket else None


def _bucket_name(resource: str) -> str:
    return resource.removeprefix("arn:aws:s3:::").partition("/")[0]


def _trust_policy(resource: str, call: ApiCall) -> str | None:
    role = iam_store(_owner(call, resource)).ROLES.get(resource.rpartition("/")[2])
    return role.role["AssumeRolePolicyDocument"] if role else None


def _key_policy(resource: str, call: ApiCall) -> str | None:
    from localstack.services.kms.models import kms_stores

    key = kms_stores[_owner(call, resource)][call.region].keys.get(resource.rpartition("/")[2])
    return key.policy if key else None


def _refuse(caller: Caller, call: ApiCall, request: Request, reason: str) -> None:
    on = f" on resource: {request.resource}" if request.resource else ""
    message = f"User: {caller.arn} is not authorized to perform: {request.action}{on} {reason}"
    if call.service == "ec2":
        raise CommonServiceException("UnauthorizedOperation", message, 403, True)
    if call.service in JSON_SERVICES:
        raise CommonServiceException("AccessDeniedException", message, 400, True)
    raise CommonServiceException("AccessDenied", message, 403, True)
