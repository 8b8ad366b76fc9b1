"""Who makes a request, and which policies they have.

The key `test` is the account's administrator, in another account that account's id is: everything is allowed to it,
unless a resource's policy denies it. It has the ARN and the id of AWS's root user, and two things which that has not: a
user name, `root`, and a way into roles. Sessions of roles and users' keys have the policies of their role or user,
inline and managed. Nobody else is let in.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from localstack.aws.api import CommonServiceException, RequestContext

from petpark_emulator.access.policy import Principal

ADMINISTRATOR_KEY = "test"
ADMINISTRATOR_NAME = "root"
IAM_REGION = "us-east-1"  # where LocalStack keeps what has no region


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who made a request. `policies` is None for the administrator; `boundary` and `session` where there are none.

    `userid` is a user's id, or `<role id>:<session name>`; `username` is None for sessions. Source:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
    """

    arn: str
    principal: Principal
    policies: tuple[str, ...] | None
    userid: str
    username: str | None
    boundary: tuple[str, ...] | None = None
    session: tuple[str, ...] | None = None

    @property
    def context(self) -> dict[str, str]:
        """Condition keys that describe the principal."""
        arns = sorted(self.principal.arns)
        known = {
            "aws:principalarn": next((arn for arn in arns if ":role/" in arn), arns[0]),
            "aws:userid": self.userid,
        }
        return known if self.username is None else known | {"aws:username": self.username}


def caller_of(context: RequestContext) -> Caller:
    """The caller of a request, by its access key. Raises the service error for a key that is unknown or expired."""
    from localstack.services.sts.models import sts_stores

    account, key = context.account_id, _access_key(context)
    if key is None:
        raise CommonServiceException("AccessDenied", "Access Denied: the request is not signed.", 403, True)
    if key in (ADMINISTRATOR_KEY, account):  # LocalStack takes twelve digits for that account's key
        root = f"arn:aws:iam::{account}:root"
        return Caller(
            arn=root,
            principal=Principal(account=account, arns=frozenset({root})),
            policies=None,
            userid=account,
            username=ADMINISTRATOR_NAME,
        )
    store = iam_store(account)
    session = sts_stores[account][IAM_REGION].credentials.get(key)
    if session is not None:
        if session.is_expired():
            raise CommonServiceException("ExpiredToken", "The provided token has expired.", 400, True)
        role = store.ROLES.get(session.arn.split("/")[1])
        if role is None:
            raise CommonServiceException("InvalidClientTokenId", f"The role of {session.arn} is gone.", 403, True)
        arns = frozenset({session.arn, role.role["Arn"]})
        return Caller(
            arn=session.arn,
            principal=Principal(account=account, arns=arns),
            policies=_policies(role, account, store),
            userid=session.user_id,
            username=None,
            boundary=_boundary(role.role, account, store),
            session=_session_policies.get(key),
        )
    if key in store.ACCESS_KEY_INDEX:
        user = store.USERS[store.ACCESS_KEY_INDEX[key]]
        arn = user.user["Arn"]
        return Caller(
            arn=arn,
            principal=Principal(account=account, arns=frozenset({arn})),
            policies=_policies(user, account, store),
            userid=user.user["UserId"],
            username=user.user["UserName"],
            boundary=_boundary(user.user, account, store),
        )
    raise CommonServiceException("InvalidClientTokenId", f"The access key {key} is not known here.", 403, True)


def _access_key(context: RequestContext) -> str | None:
    from localstack.utils.aws.request_context import extract_access_key_id_from_auth_header

    if presigned := context.request.args.get("X-Amz-Credential"):
        return presigned.split("/")[0]
    key = extract_access_key_id_from_auth_header(dict(context.request.headers))
    return None if key == "injectedaccesskey" else key  # LocalStack's mark for a request without a signature


def remember_session(context: RequestContext) -> None:
    """Keep the session policies with which a role has just been assumed, which LocalStack forgets."""
    asked, answer = context.service_request or {}, context.service_response or {}
    inline, arns = asked.get("Policy"), [one["arn"] for one in asked.get("PolicyArns") or ()]
    if (inline or arns) and "Credentials" in answer:
        store = iam_store(context.account_id)
        managed = (_managed(arn, context.account_id, store) for arn in arns)
        _session_policies[answer["Credentials"]["AccessKeyId"]] = (*([inline] if inline else ()), *managed)


_session_policies: dict[str, tuple[str, ...]] = {}


def iam_store(account: str) -> Any:
    """Where LocalStack keeps an account's roles, users and policies."""
    from localstack.services.iam.models import iam_stores

    return iam_stores[account][IAM_REGION]


def _policies(entity: Any, account: str, store: Any) -> tuple[str, ...]:
    attached = (_managed(policy, account, store) for policy in entity.attached_policy_arns)
    return (*entity.inline_policies.values(), *attached)


def _boundary(described: Any, account: str, store: Any) -> tuple[str, ...] | None:
    found = described.get("PermissionsBoundary")
    return (_managed(found["PermissionsBoundaryArn"], account, store),) if found else None


def _managed(arn: str, account: str, store: Any) -> str:
    if arn in store.MANAGED_POLICIES:
        policy = store.MANAGED_POLICIES[arn]
        return policy.versions[policy.policy["DefaultVersionId"]]["Document"]
    return _aws_managed(arn, account)


@cache
def _aws_managed(arn: str, account: str) -> str:
    import json

    from localstack.aws.connect import connect_to

    iam: Any = connect_to(aws_access_key_id=account, region_name=IAM_REGION).iam
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return json.dumps(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])
