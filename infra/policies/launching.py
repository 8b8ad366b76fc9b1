"""Who may launch training instances, and what people need besides the roles that they assume."""

from collections.abc import Iterable, Sequence

from infra.policies.statements import Document, allow, document
from registry.layout import JOB_TAG


def launch(*, template: str, subnets: Sequence[str], role: str, log_group: str) -> Document:
    """Launch instances of one template with a job's tag, see them, read what they log, and end them. All are ARNs.

    Who launches chooses type, subnet, market and tags, and may replace the user data: IAM has no key for that. So this
    belongs to a role that may already do what the instances may. Image and firewall are the template's. Only what bears
    a job's tag is ended, and only what is being launched gets tags.
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ExamplePolicies_EC2.html#iam-example-runinstances
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/permissions-for-launch-templates.html
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
    """
    ours = template.rpartition(":launch-template/")[0]
    images = f"{':'.join(ours.split(':')[:4])}::image/*"  # an image's ARN has no account
    instances, volumes = f"{ours}:instance/*", f"{ours}:volume/*"
    from_template = {"ec2:LaunchTemplate": template}
    as_in_template = {"ArnEquals": from_template, "Bool": {"ec2:IsLaunchTemplateResource": "true"}}
    of_a_job = {"ArnEquals": from_template, "Null": {f"aws:RequestTag/{JOB_TAG}": "false"}}
    run = ["ec2:RunInstances"]
    return document(
        [
            allow(run, [instances], of_a_job),
            allow(run, [images, f"{ours}:security-group/*"], as_in_template),
            allow(run, [template, *subnets, f"{ours}:network-interface/*", volumes], {"ArnEquals": from_template}),
            # Has no key for the template. AWS checks it only where the market is spot.
            allow(run, [f"{ours}:spot-instances-request/*"]),
            allow(["ec2:CreateTags"], [instances, volumes], {"StringEquals": {"ec2:CreateAction": "RunInstances"}}),
            allow(["ec2:TerminateInstances"], [instances], {"Null": {f"aws:ResourceTag/{JOB_TAG}": "false"}}),
            allow(["ec2:DescribeInstances"], ["*"]),
            allow(["logs:GetLogEvents"], [f"{log_group}:*"]),
            allow(["iam:PassRole"], [role], {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}),
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
