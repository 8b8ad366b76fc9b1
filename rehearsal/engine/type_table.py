"""The reviewed table: every resource type and data source that the engine deploys, and what is special about each.

Nothing outside this table is deployed, and nothing in it is guessed: a test walks every row against the provider's
schema and the installed SDK. To add a type, add its row and run that test.

Sources: the provider's documentation ("Import" and "Attribute Reference" of each type) for what finds a resource
again; AWS's API reference for the longest allowed name; pulumi-aws for names that it sets itself or spells otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Autoname:
    """A Terraform field that gets a name when the program gives none: the resource's name and seven hex digits."""

    field: str = "name"
    longest: int = 255
    lower: bool = False
    prefix: str = ""
    fifo: bool = False  # FIFO topics and queues must end in .fifo


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Finds a resource through a data source; values are templates over the planned attributes.

    `result` is the field with the identifier, or with several, of which the one that is as planned is meant.
    """

    source: str
    arguments: Mapping[str, Any]
    result: str = "id"


NAME_TAG = {"Name": "{tags[Name]}"}


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """How one type of resource is deployed.

    `find` tells how to find one again whose creation was cut off: a template for the provider's import, or a lookup.
    `repeatable` marks types where creating again what may already exist is harmless (AWS replaces or returns it).
    `spelled` maps Terraform field names to the SDK's where no rule does.
    """

    token: str
    terraform: str
    autoname: Autoname | None = None
    find: str | Lookup | None = None
    repeatable: bool = False
    spelled: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The short form for people: `s3.Bucket`."""
        return short_type(self.token)


@dataclass(frozen=True, kw_only=True)
class DataSourceType:
    """How one SDK function is answered; `copies` gives results that the SDK has under a second name."""

    token: str
    terraform: str
    spelled: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)


def short_type(token: str) -> str:
    """`aws:s3/bucket:Bucket` as people say it: `s3.Bucket`; other types as they are."""
    package, _, rest = token.partition(":")
    module, _, name = rest.partition(":")
    return f"{module.split('/')[0]}.{name}" if package == "aws" and name else token


def _type(token: str, terraform: str, **rules: Any) -> ResourceType:
    return ResourceType(token=f"aws:{token}", terraform=f"aws_{terraform}", **rules)


def _named(longest: int = 255, **rules: Any) -> Autoname:
    return Autoname(longest=longest, **rules)


def _bucket_setting(token: str, terraform: str) -> ResourceType:
    """A setting of a bucket: one per bucket, put in place as a whole."""
    return _type(token, terraform, find="{bucket}", repeatable=True)


_STORAGE = (
    _type("s3/bucket:Bucket", "s3_bucket", autoname=Autoname(field="bucket", longest=63, lower=True), find="{bucket}"),
    _bucket_setting("s3/bucketVersioning:BucketVersioning", "s3_bucket_versioning"),
    _bucket_setting(
        "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "s3_bucket_server_side_encryption_configuration",
    ),
    _bucket_setting("s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "s3_bucket_public_access_block"),
    _bucket_setting(
        "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "s3_bucket_lifecycle_configuration"
    ),
    _bucket_setting(
        "s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration", "s3_bucket_object_lock_configuration"
    ),
    _bucket_setting("s3/bucketOwnershipControls:BucketOwnershipControls", "s3_bucket_ownership_controls"),
    _bucket_setting("s3/bucketPolicy:BucketPolicy", "s3_bucket_policy"),
    _bucket_setting("s3/bucketLogging:BucketLogging", "s3_bucket_logging"),
    _bucket_setting("s3/bucketNotification:BucketNotification", "s3_bucket_notification"),
    _type("s3/bucketObjectv2:BucketObjectv2", "s3_object", find="{bucket}/{key}", repeatable=True),
    _type("ecr/repository:Repository", "ecr_repository", autoname=_named(256, lower=True), find="{name}"),
)

_IDENTITY = (
    _type("kms/key:Key", "kms_key"),
    _type("kms/alias:Alias", "kms_alias", autoname=_named(256, prefix="alias/"), find="{name}"),
    _type("iam/role:Role", "iam_role", autoname=_named(64), find="{name}"),
    _type(
        "iam/policy:Policy",
        "iam_policy",
        autoname=_named(128),
        find="arn:{partition}:iam::{account}:policy{path}{name}",
    ),
    _type("iam/rolePolicy:RolePolicy", "iam_role_policy", autoname=_named(128), find="{role}:{name}", repeatable=True),
    _type(
        "iam/rolePolicyAttachment:RolePolicyAttachment",
        "iam_role_policy_attachment",
        find="{role}/{policy_arn}",
        repeatable=True,
    ),
    _type("iam/instanceProfile:InstanceProfile", "iam_instance_profile", autoname=_named(128), find="{name}"),
    _type("acm/certificate:Certificate", "acm_certificate", repeatable=True),
    _type("acm/certificateValidation:CertificateValidation", "acm_certificate_validation", repeatable=True),
)

_RULE = Lookup(
    source="aws_vpc_security_group_rules",
    arguments={"filter": [{"name": "group-id", "values": ["{security_group_id}"]}]},
    result="ids",
)

_NETWORK = (
    _type(
        "ec2/vpc:Vpc", "vpc", find=Lookup(source="aws_vpc", arguments={"cidr_block": "{cidr_block}", "tags": NAME_TAG})
    ),
    _type(
        "ec2/subnet:Subnet",
        "subnet",
        find=Lookup(source="aws_subnet", arguments={"vpc_id": "{vpc_id}", "cidr_block": "{cidr_block}"}),
    ),
    _type(
        "ec2/internetGateway:InternetGateway",
        "internet_gateway",
        find=Lookup(
            source="aws_internet_gateway",
            arguments={"filter": [{"name": "attachment.vpc-id", "values": ["{vpc_id}"]}]},
        ),
    ),
    _type(
        "ec2/routeTable:RouteTable",
        "route_table",
        find=Lookup(source="aws_route_table", arguments={"vpc_id": "{vpc_id}", "tags": NAME_TAG}),
    ),
    _type("ec2/route:Route", "route", find="{route_table_id}_{destination_cidr_block}"),
    _type(
        "ec2/routeTableAssociation:RouteTableAssociation",
        "route_table_association",
        find="{subnet_id}/{route_table_id}",
    ),
    _type(
        "ec2/securityGroup:SecurityGroup",
        "security_group",
        autoname=_named(255),
        find=Lookup(source="aws_security_group", arguments={"vpc_id": "{vpc_id}", "name": "{name}"}),
    ),
    _type("vpc/securityGroupIngressRule:SecurityGroupIngressRule", "vpc_security_group_ingress_rule", find=_RULE),
    _type("vpc/securityGroupEgressRule:SecurityGroupEgressRule", "vpc_security_group_egress_rule", find=_RULE),
    _type(
        "ec2/vpcEndpoint:VpcEndpoint",
        "vpc_endpoint",
        find=Lookup(source="aws_vpc_endpoint", arguments={"vpc_id": "{vpc_id}", "service_name": "{service_name}"}),
    ),
    _type(
        "lb/loadBalancer:LoadBalancer",
        "lb",
        autoname=_named(32),
        find=Lookup(source="aws_lb", arguments={"name": "{name}"}),
    ),
    _type(
        "lb/targetGroup:TargetGroup",
        "lb_target_group",
        autoname=_named(32),
        find=Lookup(source="aws_lb_target_group", arguments={"name": "{name}"}),
    ),
    _type(
        "lb/listener:Listener",
        "lb_listener",
        find=Lookup(source="aws_lb_listener", arguments={"load_balancer_arn": "{load_balancer_arn}", "port": "{port}"}),
    ),
    _type(
        "lb/listenerRule:ListenerRule",
        "lb_listener_rule",
        find=Lookup(
            source="aws_lb_listener_rule",
            arguments={"listener_arn": "{listener_arn}", "priority": "{priority}"},
            result="arn",
        ),
    ),
)

_NAMES = (
    # Records that the program makes have no set identifier: zone, name and type are one record's alone.
    _type("route53/record:Record", "route53_record", find="{zone_id}_{name}_{type}"),
)

_COMPUTE = (
    _type(
        "ec2/launchTemplate:LaunchTemplate",
        "launch_template",
        autoname=_named(125),
        find=Lookup(source="aws_launch_template", arguments={"name": "{name}"}),
    ),
    _type(
        "ec2/instance:Instance",
        "instance",
        find=Lookup(
            source="aws_instance",
            arguments={
                "instance_tags": NAME_TAG,
                "filter": [{"name": "instance-state-name", "values": ["pending", "running"]}],
            },
        ),
    ),
    _type("autoscaling/group:Group", "autoscaling_group", autoname=_named(255), find="{name}"),
    _type(
        "autoscaling/policy:Policy",
        "autoscaling_policy",
        autoname=_named(255),
        find="{autoscaling_group_name}/{name}",
        repeatable=True,
    ),
    _type(
        "autoscaling/lifecycleHook:LifecycleHook",
        "autoscaling_lifecycle_hook",
        autoname=_named(255),
        find="{autoscaling_group_name}/{name}",
        repeatable=True,
    ),
)

_MONITORING = (
    _type("cloudwatch/logGroup:LogGroup", "cloudwatch_log_group", autoname=_named(512), find="{name}"),
    _type(
        "cloudwatch/logMetricFilter:LogMetricFilter",
        "cloudwatch_log_metric_filter",
        autoname=_named(512),
        find="{log_group_name}:{name}",
        repeatable=True,
    ),
    _type(
        "cloudwatch/metricAlarm:MetricAlarm",
        "cloudwatch_metric_alarm",
        autoname=Autoname(field="alarm_name"),
        find="{alarm_name}",
        repeatable=True,
        spelled={"alarm_name": "name"},
    ),
    _type(
        "cloudwatch/compositeAlarm:CompositeAlarm", "cloudwatch_composite_alarm", find="{alarm_name}", repeatable=True
    ),
    _type("cloudwatch/dashboard:Dashboard", "cloudwatch_dashboard", find="{dashboard_name}", repeatable=True),
    _type(
        "cloudwatch/eventRule:EventRule",
        "cloudwatch_event_rule",
        autoname=_named(64),
        find="{event_bus_name}/{name}",
        repeatable=True,
    ),
    _type(
        "cloudwatch/eventTarget:EventTarget",
        "cloudwatch_event_target",
        find="{event_bus_name}/{rule}/{target_id}",
        repeatable=True,
    ),
    _type(
        "cloudtrail/trail:Trail",
        "cloudtrail",
        autoname=_named(128),
        find="arn:{partition}:cloudtrail:{region}:{account}:trail/{name}",
    ),
    _type("budgets/budget:Budget", "budgets_budget", autoname=_named(100), find="{account}:{name}"),
)

_MESSAGING = (
    _type(
        "sns/topic:Topic",
        "sns_topic",
        autoname=_named(256, fifo=True),
        find="arn:{partition}:sns:{region}:{account}:{name}",
        repeatable=True,
    ),
    _type(
        "sns/topicSubscription:TopicSubscription",
        "sns_topic_subscription",
        repeatable=True,
        spelled={"topic_arn": "topic"},
    ),
    _type(
        "sqs/queue:Queue",
        "sqs_queue",
        autoname=_named(80, fifo=True),
        find=Lookup(source="aws_sqs_queue", arguments={"name": "{name}"}),
    ),
    _type("sqs/queuePolicy:QueuePolicy", "sqs_queue_policy", find="{queue_url}", repeatable=True),
    _type("ssm/parameter:Parameter", "ssm_parameter", autoname=_named(1011), find="{name}"),
    _type(
        "sfn/stateMachine:StateMachine",
        "sfn_state_machine",
        autoname=_named(80),
        find="arn:{partition}:states:{region}:{account}:stateMachine:{name}",
    ),
    _type("scheduler/scheduleGroup:ScheduleGroup", "scheduler_schedule_group", autoname=_named(64), find="{name}"),
    _type("scheduler/schedule:Schedule", "scheduler_schedule", autoname=_named(64), find="{group_name}/{name}"),
)

RESOURCES: Mapping[str, ResourceType] = {
    row.token: row for row in (*_STORAGE, *_IDENTITY, *_NETWORK, *_NAMES, *_COMPUTE, *_MONITORING, *_MESSAGING)
}


def _function(token: str, terraform: str, **rules: Any) -> DataSourceType:
    return DataSourceType(token=f"aws:{token}", terraform=f"aws_{terraform}", **rules)


DATA_SOURCES: Mapping[str, DataSourceType] = {
    row.token: row
    for row in (
        _function("index/getCallerIdentity:getCallerIdentity", "caller_identity"),
        _function("index/getRegion:getRegion", "region", spelled={"name": "region"}, copies={"name": "region"}),
        _function("index/getAvailabilityZones:getAvailabilityZones", "availability_zones"),
        _function("index/getPartition:getPartition", "partition"),
        _function("ec2/getAmi:getAmi", "ami"),
        _function("ssm/getParameter:getParameter", "ssm_parameter"),
        _function("route53/getZone:getZone", "route53_zone"),
        _function("iam/getPolicyDocument:getPolicyDocument", "iam_policy_document"),
    )
}
