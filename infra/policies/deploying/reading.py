"""What workflows may read: deployed resources, Pulumi's state, and what is left after `pulumi destroy`."""

from collections.abc import Mapping

from infra.policies.deploying.stack import BUCKETS, ROLES, WORKSPACE, Deploying, catalog_arns, role_arns
from infra.policies.statements import Statement, allow, bucket_arn, objects_arn
from registry.layout.roles import Role
from registry.layout.workspace import CODE, STACKS

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
"""These actions take no resource. None of the actions below reads photos, models or logs.

The provider validates a definition whenever it plans one, so a preview of a changed state machine needs that, too.
"""
_READ_OF: Mapping[str, tuple[str, ...]] = {
    "acm:{here}:certificate/*": ("acm:DescribeCertificate", "acm:ListTagsForCertificate"),
    "cloudwatch:{here}:alarm:*": ("cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"),
    "cloudwatch::{account}:dashboard/*": ("cloudwatch:GetDashboard",),
    "ec2:{here}:instance/*": ("ec2:DescribeInstanceAttribute",),
    "ec2:{here}:vpc/*": ("ec2:DescribeVpcAttribute",),
    "events:{here}:api-destination/actions-*": ("events:DescribeApiDestination",),
    "events:{here}:connection/actions-*": ("events:DescribeConnection",),
    "events:{here}:rule/actions-*": ("events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"),
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


def read_resources(account: str, region: str) -> list[Statement]:
    """What the AWS provider reads for a preview or a refresh."""
    here = f"{region}:{account}"
    return [
        allow(_READ_ALL, ["*"]),
        *(
            allow(list(actions), [f"arn:aws:{form.format(here=here, account=account)}"])
            for form, actions in _READ_OF.items()
        ),
        allow(_READ_ROLES, [arn for name in ROLES for arn in role_arns(account, name)]),
        allow(_READ_BUCKETS, [bucket_arn(name) for name in BUCKETS]),
        allow(["glue:GetDatabase", "glue:GetPartitionIndexes", "glue:GetTable"], catalog_arns(here, "petpark_*")),
        allow(["glue:GetTags"], [f"arn:aws:glue:{here}:database/petpark_*"]),
        allow(["s3:GetObject", "s3:GetObjectTagging"], [objects_arn(WORKSPACE, part) for part in (CODE, STACKS)]),
        # Ids of machine images; public parameters have no account.
        allow(["ssm:GetParameter"], [f"arn:aws:ssm:{region}::parameter/aws/service/*"]),
    ]


def verify_deployment(to: Deploying) -> list[Statement]:
    """Verify a deployment: `petpark deploy` reads the scaling group and, as the reader, the channel."""
    reader = f"arn:aws:iam::{to.account}:role/operators-{Role.READER}-*"
    seen = ["autoscaling:DescribeInstanceRefreshes", "elasticloadbalancing:DescribeTargetHealth"]
    log = f"arn:aws:logs:{to.region}:{to.account}:log-group:/petpark/{to.stack}/*:*"
    return [allow(seen, ["*"]), allow(["logs:GetLogEvents"], [log]), allow(["sts:AssumeRole"], [reader])]


def look_for_leftovers(to: Deploying) -> list[Statement]:
    """Read the stack's last day of traffic; check after `pulumi destroy` that nothing is left (`petpark teardown`)."""
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
        allow(named, role_arns(to.account, "*")),
        allow(["s3:GetBucketTagging"], [bucket_arn("*")]),
        allow(["states:ListTagsForResource"], [f"arn:aws:states:{here}:stateMachine:*"]),
        allow(["glue:GetDatabases"], [f"arn:aws:glue:{here}:catalog", f"arn:aws:glue:{here}:database/*"]),
    ]


def read_state(bucket: str) -> list[Statement]:
    """Pulumi's state in a bucket."""
    return [allow(["s3:ListBucket"], [bucket_arn(bucket)]), allow(["s3:GetObject"], [objects_arn(bucket, ".pulumi/")])]
