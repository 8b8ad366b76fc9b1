"""What a used-up budget does: it denies starting anything, and nothing else."""

from collections.abc import Iterable, Mapping
from typing import Any

from infra.policies.statements import Document, allow, document

BUDGETS = "budgets.amazonaws.com"


def start_nothing() -> Document:
    """Deny whatever starts to cost money by the hour. What runs keeps running, and everything can be deleted.

    Instances that an Auto Scaling group starts are started by the service's own role: an endpoint keeps its instances.
    """
    starting = ["autoscaling:CreateAutoScalingGroup", "ec2:CreateFleet", "ec2:RunInstances", "ec2:StartInstances"]
    return document([{"Effect": "Deny", "Action": starting, "Resource": ["*"]}])


def apply_policy(policy: str, roles: Iterable[str]) -> Document:
    """Allow a budget's action to attach `policy` (an ARN) to these roles (ARNs), and to detach it after the month.

    https://docs.aws.amazon.com/cost-management/latest/userguide/billing-example-policies.html
    """
    only = {"ArnEquals": {"iam:PolicyARN": policy}}
    return document([allow(["iam:AttachRolePolicy", "iam:DetachRolePolicy"], sorted(roles), only)])


def trust_budgets(account: str) -> Document:
    """Allow the account's budgets to assume the role that acts for them, and no other account's.

    https://docs.aws.amazon.com/cost-management/latest/userguide/cross-service-confused-deputy-prevention.html
    """
    take = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": BUDGETS}}
    return document([{**take, "Condition": _of_account(account)}])


def receive_budget_alerts(topic: str, account: str) -> Document:
    """Allow the account's budgets to publish to the topic, in its own policy.

    https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html
    """
    publish = allow(["sns:Publish"], [topic], _of_account(account))
    return document([{**publish, "Principal": {"Service": BUDGETS}}])


def _of_account(account: str) -> Mapping[str, Any]:
    return {
        "ArnLike": {"aws:SourceArn": f"arn:aws:budgets::{account}:*"},
        "StringEquals": {"aws:SourceAccount": account},
    }
