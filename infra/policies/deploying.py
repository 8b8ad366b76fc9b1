"""What workflows may do that preview or deploy a stack: the calls that the AWS provider makes, and no others.

A recorded deployment of both stacks says which these are (tests/rehearsal/test_stacks.py). Resources are limited by
name where AWS lets the program choose it, and by the tag `petpark:stack`: of what two stacks have in one account, the
role of one cannot change what bears the other's tag. S3 knows no tags here, but only one stack has buckets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.policies.statements import Document, Statement, allow, bucket_arn, document, objects_arn
from registry.layout import CODE, STACKS, Role, code_prefix, stack_outputs_key

ROLES = ("endpoint-*", "operators-*", "pipeline-*", "small-machine-*", "training-*")
"""Names of the IAM roles and instance profiles that the program creates; those of this module are not among them."""
_PASSED: Mapping[str, tuple[str, ...]] = {
    "ec2.amazonaws.com": ("endpoint-*", "small-machine-*", "training-*"),
    "events.amazonaws.com": ("pipeline-events-role-*",),
    "scheduler.amazonaws.com": ("pipeline-scheduler-role-*",),
    "states.amazonaws.com": tuple(f"pipeline-{part}-role-*" for part in ("janitor", "job", "lifecycle", "start")),
}
"""Names of the roles that each service is given. Operators' roles are people's, and no service is given any."""
BUCKETS = ("data-*", "models-*")
"""Names of the program's buckets."""
_WORKSPACE = "data-workspace-*"

_READ_ALL = [
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribePolicies",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribePrefixLists",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroupRules",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeTags",
    "ec2:DescribeVolumes",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeVpcs",
    "elasticloadbalancing:DescribeCapacityReservation",
    "elasticloadbalancing:DescribeListenerAttributes",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancerAttributes",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "elasticloadbalancing:DescribeTargetGroups",
    "kms:ListAliases",
    "logs:DescribeLogGroups",
    "route53:ListHostedZones",
    "states:ValidateStateMachineDefinition",
]
"""These take no resource. None of what follows reads photos, models or logs.

The provider has a definition validated whenever it plans one: a preview of a changed state machine needs that, too.
"""
_READ_OF: Mapping[str, tuple[str, ...]] = {
    "acm:{here}:certificate/*": ("acm:DescribeCertificate", "acm:ListTagsForCertificate"),
    "cloudwatch:{here}:alarm:*": ("cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"),
    "cloudwatch::{account}:dashboard/*": ("cloudwatch:GetDashboard",),
    "ec2:{here}:instance/*": ("ec2:DescribeInstanceAttribute",),
    "ec2:{here}:vpc/*": ("ec2:DescribeVpcAttribute",),
    "events:{here}:rule/pipeline-*": ("events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"),
    "kms:{here}:key/*": ("kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"),
    "logs:{here}:log-group:/petpark/*": ("logs:DescribeMetricFilters", "logs:ListTagsForResource"),
    "route53:::hostedzone/*": (
        "route53:GetHostedZone",
        "route53:ListResourceRecordSets",
        "route53:ListTagsForResource",
    ),
    "scheduler:{here}:schedule/default/pipeline-*": ("scheduler:GetSchedule",),
    "sns:{here}:monitoring-*": (
        "sns:GetSubscriptionAttributes",
        "sns:GetTopicAttributes",
        "sns:ListTagsForResource",
    ),
    "states:{here}:stateMachine:pipeline-*": (
        "states:DescribeStateMachine",
        "states:DescribeStateMachineAlias",
        "states:ListStateMachineVersions",
        "states:ListTagsForResource",
    ),
}
_READ_ROLES = [
    "iam:GetInstanceProfile",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
]
_READ_BUCKETS = [
    "s3:GetAccelerateConfiguration",
    "s3:GetBucketAcl",
    "s3:GetBucketCORS",
    "s3:GetBucketLogging",
    "s3:GetBucketNotification",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketRequestPayment",
    "s3:GetBucketTagging",
    "s3:GetBucketVersioning",
    "s3:GetBucketWebsite",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
]


@dataclass(frozen=True, kw_only=True)
class Deploying:
    """A stack, and where it is deployed."""

    account: str
    region: str
    stack: str
    owner: bool
    """It owns the platform: buckets, keys, operator roles, training."""
    state_bucket: str | None
    """With Pulumi's state; None if Pulumi Cloud keeps it."""


def preview(account: str, region: str, state_bucket: str | None) -> Document:
    """Read what is deployed and what Pulumi recorded: enough for `pulumi preview` and `refresh --preview-only`.

    A preview takes no lock in the state's bucket.
    """
    state = [] if state_bucket is None else _read_state(state_bucket)
    return document([*_read(account, region), *state])


def deploy(to: Deploying) -> dict[str, Document]:
    """What the role that deploys one stack may do, by area, each a managed policy."""
    areas = {
        "read": document(_read(to.account, to.region)),
        "network": document(_network(to)),
        "endpoint": document(_endpoint(to)),
        "roles": document([*_roles(to), *_read_back(to), *_look_for_leftovers(to)]),
    }
    if to.owner:
        areas["platform"] = document([*_platform(to), *_telemetry(to)])
        areas["pipeline"] = document(_pipeline(to))
    if to.state_bucket is not None:
        areas["state"] = document([*_read_state(to.state_bucket), *_write_state(to.state_bucket)])
    return areas


def _read(account: str, region: str) -> list[Statement]:
    here = f"{region}:{account}"
    return [
        allow(_READ_ALL, ["*"]),
        *(
            allow(list(actions), [f"arn:aws:{form.format(here=here, account=account)}"])
            for form, actions in _READ_OF.items()
        ),
        allow(_READ_ROLES, [arn for name in ROLES for arn in _role_arns(account, name)]),
        allow(_READ_BUCKETS, [bucket_arn(name) for name in BUCKETS]),
        allow(["glue:GetDatabase", "glue:GetPartitionIndexes", "glue:GetTable"], _catalog(here, "petpark_*")),
        allow(["glue:GetTags"], [f"arn:aws:glue:{here}:database/petpark_*"]),
        allow(["s3:GetObject", "s3:GetObjectTagging"], [objects_arn(_WORKSPACE, part) for part in (CODE, STACKS)]),
        # Ids of machine images; public parameters have no account.
        allow(["ssm:GetParameter"], [f"arn:aws:ssm:{region}::parameter/aws/service/*"]),
    ]


def _of_this_stack(to: Deploying) -> Mapping[str, Any]:
    """Neither what bears another stack's tag; what has none yet, or never has any, is let through."""
    return {"StringEqualsIfExists": {"aws:ResourceTag/petpark:stack": to.stack}}


def _network(to: Deploying) -> list[Statement]:
    change = [
        "ec2:AssociateRouteTable",
        "ec2:AttachInternetGateway",
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:CreateInternetGateway",
        "ec2:CreateLaunchTemplate",
        "ec2:CreateLaunchTemplateVersion",
        "ec2:CreateRoute",
        "ec2:CreateRouteTable",
        "ec2:CreateSecurityGroup",
        "ec2:CreateSubnet",
        "ec2:CreateTags",
        "ec2:CreateVpc",
        "ec2:CreateVpcEndpoint",
        "ec2:DeleteInternetGateway",
        "ec2:DeleteLaunchTemplate",
        "ec2:DeleteRoute",
        "ec2:DeleteRouteTable",
        "ec2:DeleteSecurityGroup",
        "ec2:DeleteSubnet",
        "ec2:DeleteTags",
        "ec2:DeleteVpc",
        "ec2:DeleteVpcEndpoints",
        "ec2:DetachInternetGateway",
        "ec2:DisassociateRouteTable",
        "ec2:ModifyInstanceAttribute",
        "ec2:ModifyLaunchTemplate",
        "ec2:ModifySecurityGroupRules",
        "ec2:ModifySubnetAttribute",
        "ec2:ModifyVpcAttribute",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:RunInstances",
        "ec2:StartInstances",
        "ec2:StopInstances",
        "ec2:TerminateInstances",
    ]
    kinds = [
        "instance",
        "internet-gateway",
        "launch-template",
        "network-interface",
        "route-table",
        "security-group",
        "security-group-rule",
        "subnet",
        "volume",
        "vpc",
        "vpc-endpoint",
    ]
    here = f"arn:aws:ec2:{to.region}:{to.account}"
    return [
        allow(change, [f"{here}:{kind}/*" for kind in kinds], _of_this_stack(to)),
        allow(["ec2:RunInstances"], [f"arn:aws:ec2:{to.region}::image/*"]),
        allow(["ec2:DescribeNetworkInterfaces"], ["*"]),
    ]


def _endpoint(to: Deploying) -> list[Statement]:
    here = f"{to.region}:{to.account}"
    balancing, scaling = f"arn:aws:elasticloadbalancing:{here}", f"arn:aws:autoscaling:{here}"
    balancers = [
        "elasticloadbalancing:AddTags",
        "elasticloadbalancing:CreateListener",
        "elasticloadbalancing:CreateLoadBalancer",
        "elasticloadbalancing:CreateTargetGroup",
        "elasticloadbalancing:DeleteListener",
        "elasticloadbalancing:DeleteLoadBalancer",
        "elasticloadbalancing:DeleteTargetGroup",
        "elasticloadbalancing:ModifyListener",
        "elasticloadbalancing:ModifyLoadBalancerAttributes",
        "elasticloadbalancing:ModifyTargetGroup",
        "elasticloadbalancing:ModifyTargetGroupAttributes",
        "elasticloadbalancing:SetSecurityGroups",
    ]
    groups = [
        "autoscaling:CreateAutoScalingGroup",
        "autoscaling:DeleteAutoScalingGroup",
        "autoscaling:DeletePolicy",
        "autoscaling:PutScalingPolicy",
        "autoscaling:StartInstanceRefresh",
        "autoscaling:UpdateAutoScalingGroup",
    ]
    logs = [
        "logs:CreateLogGroup",
        "logs:DeleteLogGroup",
        "logs:DeleteMetricFilter",
        "logs:PutMetricFilter",
        "logs:PutRetentionPolicy",
        "logs:TagResource",
    ]
    alarms = [
        "cloudwatch:DeleteAlarms",
        "cloudwatch:PutCompositeAlarm",
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:TagResource",
    ]
    dashboards = ["cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard"]
    topics = ["sns:CreateTopic", "sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource"]
    certificates = ["acm:AddTagsToCertificate", "acm:DeleteCertificate"]
    ours = _of_this_stack(to)
    parts = ("loadbalancer/app/endpoint-*/*", "targetgroup/endpoint-*/*", "listener/app/endpoint-*/*/*")
    return [
        allow(balancers, [f"{balancing}:{part}" for part in parts], ours),
        allow(groups, [f"{scaling}:autoScalingGroup:*:autoScalingGroupName/endpoint-*"], ours),
        allow(logs, [f"arn:aws:logs:{here}:log-group:/petpark/{to.stack}/*"]),
        allow(alarms, [f"arn:aws:cloudwatch:{here}:alarm:monitoring-*"], ours),
        allow(dashboards, [f"arn:aws:cloudwatch::{to.account}:dashboard/*-{to.stack}"]),
        allow(topics, [f"arn:aws:sns:{here}:monitoring-*"], ours),
        allow(["sns:Unsubscribe", "acm:RequestCertificate"], ["*"]),
        allow(certificates, [f"arn:aws:acm:{here}:certificate/*"], ours),
        allow(["route53:ChangeResourceRecordSets"], ["arn:aws:route53:::hostedzone/*"]),
        allow(["route53:GetChange"], ["arn:aws:route53:::change/*"]),
        *_objects(to),
    ]


def _objects(to: Deploying) -> list[Statement]:
    """Code bundles, which stay, and the stack's outputs, whose versions all go with the stack."""
    outputs = f"{bucket_arn(_WORKSPACE)}/{stack_outputs_key(to.stack)}"
    return [
        allow(["s3:PutObject", "s3:PutObjectTagging"], [objects_arn(_WORKSPACE, code_prefix(to.stack)), outputs]),
        allow(["s3:DeleteObject", "s3:DeleteObjectVersion"], [outputs]),
        allow(
            ["s3:ListBucketVersions"],
            [bucket_arn(_WORKSPACE)],
            {"StringEquals": {"s3:prefix": [stack_outputs_key(to.stack)]}},
        ),
    ]


def _roles(to: Deploying) -> list[Statement]:
    """The roles that instances, services and people act in."""
    change = [
        "iam:AddRoleToInstanceProfile",
        "iam:CreateInstanceProfile",
        "iam:CreateRole",
        "iam:DeleteInstanceProfile",
        "iam:DeleteRole",
        "iam:DeleteRolePolicy",
        "iam:ListInstanceProfilesForRole",
        "iam:PutRolePolicy",
        "iam:RemoveRoleFromInstanceProfile",
        "iam:TagInstanceProfile",
        "iam:TagRole",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateRoleDescription",
    ]
    names = ROLES if to.owner else ROLES[:1]
    passed = _PASSED if to.owner else {"ec2.amazonaws.com": ROLES[:1]}
    return [
        allow(change, [arn for name in names for arn in _role_arns(to.account, name)], _of_this_stack(to)),
        *(
            allow(
                ["iam:PassRole"],
                [f"arn:aws:iam::{to.account}:role/{name}" for name in given],
                {"StringEquals": {"iam:PassedToService": service}},
            )
            for service, given in passed.items()
        ),
    ]


def _read_back(to: Deploying) -> list[Statement]:
    """See afterwards what really answers: `petpark deploy` asks the group and, as the reader, the channel."""
    reader = f"arn:aws:iam::{to.account}:role/operators-{Role.READER}-*"
    seen = ["autoscaling:DescribeInstanceRefreshes", "elasticloadbalancing:DescribeTargetHealth"]
    log = f"arn:aws:logs:{to.region}:{to.account}:log-group:/petpark/{to.stack}/*:*"
    return [allow(seen, ["*"]), allow(["logs:GetLogEvents"], [log]), allow(["sts:AssumeRole"], [reader])]


def _look_for_leftovers(to: Deploying) -> list[Statement]:
    """Read the stack's last day, and see after `pulumi destroy` that nothing is left (`petpark teardown`)."""
    listed = [
        "iam:ListInstanceProfiles",
        "iam:ListRoles",
        "kms:ListKeys",
        "s3:ListAllMyBuckets",
        "scheduler:ListSchedules",
        "ssm:DescribeParameters",
        "states:ListStateMachines",
        "tag:GetResources",
    ]
    named = ["iam:GetInstanceProfile", "iam:ListRoleTags"]
    here = f"{to.region}:{to.account}"
    return [
        allow(listed, ["*"]),
        allow(named, _role_arns(to.account, "*")),
        allow(["s3:GetBucketTagging"], [bucket_arn("*")]),
        allow(["states:ListTagsForResource"], [f"arn:aws:states:{here}:stateMachine:*"]),
        allow(["glue:GetDatabases"], [f"arn:aws:glue:{here}:catalog", f"arn:aws:glue:{here}:database/*"]),
    ]


def _platform(to: Deploying) -> list[Statement]:
    """Buckets and keys. Objects are deleted only with their bucket, which `petpark:protect_data` forbids."""
    buckets = [
        "s3:CreateBucket",
        "s3:DeleteBucket",
        "s3:DeleteBucketPolicy",
        "s3:ListBucketVersions",
        "s3:PutBucketLogging",
        "s3:PutBucketNotification",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutBucketPolicy",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutBucketTagging",
        "s3:PutBucketVersioning",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
    ]
    keys = [
        "kms:CreateAlias",
        "kms:DeleteAlias",
        "kms:EnableKeyRotation",
        "kms:PutKeyPolicy",
        "kms:ScheduleKeyDeletion",
        "kms:TagResource",
    ]
    here = f"arn:aws:kms:{to.region}:{to.account}"
    return [
        allow(buckets, [bucket_arn(name) for name in BUCKETS]),
        allow(["s3:DeleteObject", "s3:DeleteObjectVersion"], [objects_arn(name, "") for name in BUCKETS]),
        allow(["kms:CreateKey"], ["*"]),
        allow(keys, [f"{here}:key/*"], _of_this_stack(to)),
        allow(["kms:CreateAlias", "kms:DeleteAlias"], [f"{here}:alias/petpark-{to.stack}-*"]),
    ]


def _telemetry(to: Deploying) -> list[Statement]:
    """The table of recorded predictions. To delete a database needs its tables and functions, too.

    https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html
    """
    here, name = f"{to.region}:{to.account}", f"petpark_{to.stack.replace('-', '_')}"
    change = [
        "glue:CreateDatabase",
        "glue:CreateTable",
        "glue:DeleteDatabase",
        "glue:DeleteTable",
        "glue:UpdateDatabase",
        "glue:UpdateTable",
    ]
    functions = f"arn:aws:glue:{here}:userDefinedFunction/{name}/*"
    return [
        allow(change, [*_catalog(here, name), functions]),
        allow(["glue:TagResource"], [f"arn:aws:glue:{here}:database/{name}"]),
    ]


def _catalog(here: str, database: str) -> list[str]:
    """ARNs of the Glue catalog, of a database in it, and of all that database's tables."""
    parts = ("catalog", f"database/{database}", f"table/{database}/*")
    return [f"arn:aws:glue:{here}:{part}" for part in parts]


def _pipeline(to: Deploying) -> list[Statement]:
    """State machines with their versions and aliases, and the rules and schedules that start them.

    Versions and aliases are authorised by their state machine. Schedules have no tags of their own.
    https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
    """
    machines = [
        "states:CreateStateMachine",
        "states:CreateStateMachineAlias",
        "states:DeleteStateMachine",
        "states:DeleteStateMachineAlias",
        "states:PublishStateMachineVersion",
        "states:TagResource",
        "states:UpdateStateMachine",
        "states:UpdateStateMachineAlias",
    ]
    rules = [
        "events:DeleteRule",
        "events:PutRule",
        "events:PutTargets",
        "events:RemoveTargets",
        "events:TagResource",
    ]
    schedules = ["scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:UpdateSchedule"]
    here = f"{to.region}:{to.account}"
    return [
        allow(machines, [f"arn:aws:states:{here}:stateMachine:pipeline-*"], _of_this_stack(to)),
        allow(rules, [f"arn:aws:events:{here}:rule/pipeline-*"], _of_this_stack(to)),
        allow(schedules, [f"arn:aws:scheduler:{here}:schedule/default/pipeline-*"]),
    ]


def _role_arns(account: str, name: str) -> list[str]:
    """ARNs of the role and the instance profile of a name."""
    return [f"arn:aws:iam::{account}:{kind}/{name}" for kind in ("role", "instance-profile")]


def _read_state(bucket: str) -> list[Statement]:
    return [allow(["s3:ListBucket"], [bucket_arn(bucket)]), allow(["s3:GetObject"], [objects_arn(bucket, ".pulumi/")])]


def _write_state(bucket: str) -> list[Statement]:
    """Write states, their history and locks, and delete locks.

    https://www.pulumi.com/docs/iac/concepts/state-and-backends/#aws-s3
    """
    return [allow(["s3:DeleteObject", "s3:PutObject"], [objects_arn(bucket, ".pulumi/")])]
