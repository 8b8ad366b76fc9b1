"""What AWS's errors mean for an operator of petpark, and what to do about them: a table, by error code.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The outcome's name, the cause, and the next step."""

    outcome: str
    sentence: str
    next_step: str


_SPOT_ROLE = Refusal(
    outcome="SpotRoleMissing",
    sentence="The account has never used spot instances: it lacks their service-linked role.",
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/service-linked-roles-spot-instance-requests.html
    next_step="Ask an administrator to create it once: aws iam create-service-linked-role --aws-service-name "
    "spot.amazonaws.com. Or train without spot: petpark train --on-demand.",
)

# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
_SPOT_QUOTA = Refusal(
    outcome="QuotaReached",
    sentence="The account's quota of spot vCPUs for this family of types is used up; new accounts often have none.",
    next_step="Request an increase of 'All G and VT Spot Instance Requests' (aws service-quotas "
    "request-service-quota-increase --service-code ec2 --quota-code L-3819A6DF --desired-value 4); "
    "`petpark doctor --account` checks the quotas.",
)
_QUOTA = Refusal(
    outcome="QuotaReached",
    sentence="The account's quota of vCPUs for this family of types is used up; new accounts often have none.",
    next_step="Request an increase of 'Running On-Demand G and VT instances' (aws service-quotas "
    "request-service-quota-increase --service-code ec2 --quota-code L-DB2E81BA --desired-value 4), or the quota of "
    "the family that you use; `petpark doctor --account` checks the quotas.",
)
_NEW_ACCOUNT = Refusal(
    outcome="AccountNotReady",
    sentence="AWS has not yet enabled this account, region or service.",
    next_step="Finish signing up (payment and phone verification), enable the region in the account's settings, and "
    "wait: AWS says that it may take some hours.",
)
_TOO_FAST = Refusal(
    outcome="Throttled",
    sentence="AWS throttles the requests.",
    next_step="Wait a minute, then run the command again.",
)

REFUSALS: Mapping[str, Refusal] = MappingProxyType(
    {
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted": _SPOT_ROLE,
        "MaxSpotInstanceCountExceeded": _SPOT_QUOTA,
        "VcpuLimitExceeded": _QUOTA,
        "InstanceLimitExceeded": _QUOTA,
        "Blocked": _NEW_ACCOUNT,
        "OptInRequired": _NEW_ACCOUNT,
        "PendingVerification": _NEW_ACCOUNT,
        "RequestLimitExceeded": _TOO_FAST,
        "SlowDown": _TOO_FAST,
        "Throttling": _TOO_FAST,
        "ThrottlingException": _TOO_FAST,
        "InsufficientInstanceCapacity": Refusal(
            outcome="NoCapacity",
            sentence="AWS has no capacity for this instance type in this zone at the moment.",
            next_step="Try again later, or set other instance types.",
        ),
        "Unsupported": Refusal(
            outcome="NotOfferedHere",
            sentence="AWS does not offer this instance type in this zone.",
            next_step="Set another instance type, or other zones, and run pulumi up.",
        ),
        "InvalidAMIID.NotFound": Refusal(
            outcome="ImageGone",
            sentence="The machine image that the launch template names no longer exists.",
            next_step="Run pulumi up, which takes the newest image.",
        ),
        # https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
        "IdempotentParameterMismatch": Refusal(
            outcome="LaunchChanged",
            sentence="The instance was already requested, and the stack has changed since.",
            next_step="Check whether it runs (petpark jobs list). Then restore the stack's settings (pulumi up) and "
            "continue (petpark search resume STUDY), or start a new study (petpark search run).",
        ),
        # https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
        "InvalidInstanceID.NotFound": Refusal(
            outcome="InstanceUnknown",
            sentence="EC2 does not know the instance: it started seconds ago, or ended more than an hour ago.",
            next_step="Run the command again after a minute; `petpark jobs list` shows which jobs have an instance.",
        ),
        "InvalidLaunchTemplateId.NotFound": Refusal(
            outcome="StackOutdated",
            sentence="The launch template of the stack does not exist in this account and region.",
            next_step="Check with `petpark doctor` which account you are in, then run pulumi refresh and pulumi up.",
        ),
        "KMSInvalidStateException": Refusal(
            outcome="KeyDisabled",
            sentence="The KMS key is disabled or pending deletion.",
            next_step="Before it is deleted, aws kms cancel-key-deletion and enable-key restore it.",
        ),
    }
)
"""Every other code is reported with AWS's own message only."""
