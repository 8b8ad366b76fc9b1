"""What people need in addition to the roles that they assume, and what publishers may do with instances of jobs."""

from collections.abc import Iterable

from infra.policies.statements import Document, allow, document
from registry.layout.jobs import JOB_TAG


def watch_jobs(*, log_group: str) -> Document:
    """See instances, read what trainings log (an ARN), and end instances that run a job; launch none.

    Only state machines launch instances. Only instances with a job's tag may be terminated, and nobody may set tags.
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    """
    region, account = log_group.split(":")[3:5]
    of_a_job = {"Null": {f"aws:ResourceTag/{JOB_TAG}": "false"}}
    return document(
        [
            allow(["ec2:TerminateInstances"], [f"arn:aws:ec2:{region}:{account}:instance/*"], of_a_job),
            allow(["ec2:DescribeInstances"], ["*"]),
            allow(["logs:GetLogEvents"], [f"{log_group}:*"]),
        ]
    )


def person(roles: Iterable[str]) -> Document:
    """What a person needs who acts in `roles` (ARNs): to assume them, and to see what runs behind an endpoint.

    For a user, a role of theirs, or a permission set of IAM Identity Center.
    """
    return document(
        [
            allow(["sts:AssumeRole"], sorted(roles)),
            allow(["ec2:DescribeInstances", "elasticloadbalancing:DescribeTargetHealth"], ["*"]),
        ]
    )
