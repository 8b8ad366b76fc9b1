"""What a workflow may change of a stack's network and endpoint."""

from infra.policies.deploying.stack import WORKSPACE, Deploying, of_this_stack
from infra.policies.statements import Statement, allow, bucket_arn, objects_arn
from registry.layout.workspace import code_prefix, stack_outputs_key


def change_network(to: Deploying) -> list[Statement]:
    """Network, instances and launch templates of the stack."""
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
        allow(change, [f"{here}:{kind}/*" for kind in kinds], of_this_stack(to)),
        allow(["ec2:RunInstances"], [f"arn:aws:ec2:{to.region}::image/*"]),
        allow(["ec2:DescribeNetworkInterfaces"], ["*"]),
    ]


def change_endpoint(to: Deploying) -> list[Statement]:
    """Load balancer, scaling group, logs, alarms, certificate, DNS records, and objects in the workspace."""
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
    ours = of_this_stack(to)
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
    """Code bundles, which stay, and the stack's outputs, all versions of which are deleted with the stack."""
    outputs = f"{bucket_arn(WORKSPACE)}/{stack_outputs_key(to.stack)}"
    return [
        allow(["s3:PutObject", "s3:PutObjectTagging"], [objects_arn(WORKSPACE, code_prefix(to.stack)), outputs]),
        allow(["s3:DeleteObject", "s3:DeleteObjectVersion"], [outputs]),
        allow(
            ["s3:ListBucketVersions"],
            [bucket_arn(WORKSPACE)],
            {"StringEquals": {"s3:prefix": [stack_outputs_key(to.stack)]}},
        ),
    ]
