"""Service-linked roles: AWS creates each at first use if the caller may create it; otherwise the call fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from petpark.account.cloud import Account, Unchecked
from petpark.account.identity import Caller
from petpark.doctor import Check, Health

if TYPE_CHECKING:
    from infra.configuration.settings import StackSettings


@dataclass(frozen=True, kw_only=True)
class LinkedRole:
    """A role that a service takes in this account; `service` is its principal."""

    name: str
    service: str

    def arn(self, account: str) -> str:
        """Its ARN, whether it exists or not."""
        return f"arn:aws:iam::{account}:role/aws-service-role/{self.service}/{self.name}"


# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html
SPOT = LinkedRole(name="AWSServiceRoleForEC2Spot", service="spot.amazonaws.com")
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/autoscaling-service-linked-role.html
AUTO_SCALING = LinkedRole(name="AWSServiceRoleForAutoScaling", service="autoscaling.amazonaws.com")
# https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-service-linked-roles.html
LOAD_BALANCING = LinkedRole(name="AWSServiceRoleForElasticLoadBalancing", service="elasticloadbalancing.amazonaws.com")


def needed(settings: "StackSettings") -> tuple[LinkedRole, ...]:
    """The service-linked roles that the stack needs."""
    training = settings.platform_stack is None and settings.training.spot
    autoscaled = settings.endpoint.kind == "autoscaled"
    return ((SPOT,) if training else ()) + ((AUTO_SCALING, LOAD_BALANCING) if autoscaled else ())


def check(account: Account, caller: Caller, settings: "StackSettings") -> Sequence[Check]:
    """A check for each role that the stack needs."""
    return [_role(account, caller, role) for role in needed(settings)]


def _role(account: Account, caller: Caller, role: LinkedRole) -> Check:
    name = f"service-linked role: {role.name}"
    create = f"aws iam create-service-linked-role --aws-service-name {role.service}"
    try:
        if account.call("iam", "get_role", absent=("NoSuchEntity",), RoleName=role.name):
            return Check(name=name, health=Health.FINE, found="exists")
        allowed = _may_create(account, caller, role)
    except Unchecked as error:
        unsure = error.as_check(name)
        return Check(name=name, health=unsure.health, found=unsure.found, fix=create)
    if allowed:
        found = "does not exist; AWS creates it at first use by you, but may not for other callers"
        return Check(name=name, health=Health.ABSENT, found=found, fix=create)
    found = "does not exist, and you may not create it (iam:CreateServiceLinkedRole)"
    return Check(name=name, health=Health.MISSING, found=found, fix=f"ask an administrator to run: {create}")


def _may_create(account: Account, caller: Caller, role: LinkedRole) -> bool:
    """The result of IAM's policy simulator. It takes the ARN of a user or a role, not of a session.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    if caller.arn.endswith(":root"):
        return True
    answer = account.call(
        "iam",
        "simulate_principal_policy",
        PolicySourceArn=_principal(account, caller),
        ActionNames=["iam:CreateServiceLinkedRole"],
        ResourceArns=[role.arn(caller.account)],
        ContextEntries=[
            {
                "ContextKeyName": "iam:AWSServiceName",
                "ContextKeyValues": [role.service],
                "ContextKeyType": "string",
            }
        ],
    )
    return all(result["EvalDecision"] == "allowed" for result in answer["EvaluationResults"])


def _principal(account: Account, caller: Caller) -> str:
    """The role behind a session, with its path, which a session's ARN leaves out."""
    service, _, resource = caller.arn.split(":", 5)[2], None, caller.arn.split(":", 5)[5]
    if service != "sts" or not resource.startswith("assumed-role/"):
        return caller.arn
    found = account.call("iam", "get_role", RoleName=resource.split("/")[1])
    return str(found["Role"]["Arn"])
