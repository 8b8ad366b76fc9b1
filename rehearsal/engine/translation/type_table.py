"""The reviewed table: every resource type and data source that the engine deploys, and what is special about each.

Nothing outside this table is deployed, and nothing in it is guessed: a test walks every row against the provider's
schema and the installed SDK. To add a type, add its row and run that test.

Sources: the provider's documentation ("Import" and "Attribute Reference" of each type) for what finds a resource
again; AWS's API reference for the longest allowed name; pulumi-aws for names that it sets itself or spells otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.engine.state import short_type


@dataclass(frozen=True)
class Autoname:
    """A Terraform field that gets a name when the program gives none: the resource's name and seven hex digits."""

    longest: int
    field: str = "name"
    lower: bool = False
    prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Finds a resource through a data source; values are templates over the planned attributes.

    `result` is the field with the identifier, or with several, of which the one that is as planned is meant.
    """

    source: str
    arguments: Mapping[str, Any]
    result: str = "id"


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


def _type(token: str, terraform: str, autoname: Autoname | None = None, **rules: Any) -> ResourceType:
    return ResourceType(token=f"aws:{token}", terraform=f"aws_{terraform}", autoname=autoname, **rules)


def _bucket_setting(name: str, terraform: str) -> ResourceType:
    """A setting of a bucket: one per bucket, put in place as a whole."""
    return _type(f"s3/b{name[1:]}:{name}", terraform, find="{bucket}", repeatable=True)


def _by(source: str, *fields: str, result: str = "id", **arguments: Any) -> Lookup:
    """A lookup by `fields` as they are planned, and by `arguments`."""
    same = {name: f"{{{name}}}" for name in fields}
    return Lookup(source=f"aws_{source}", arguments=same | arguments, result=result)


def _filter(name: str, *values: str) -> list[Mapping[str, Any]]:
    return [{"name": name, "values": list(values)}]


_NAME_TAG = {"Name": "{tags[Name]}"}
_RULE = _by("vpc_security_group_rules", filter=_filter("group-id", "{security_group_id}"), result="ids")
_LIVE = _filter("instance-state-name", "pending", "running")
_ENCRYPTION = "BucketServerSideEncryptionConfiguration", "s3_bucket_server_side_encryption_configuration"

_STORAGE = (
    _type("s3/bucket:Bucket", "s3_bucket", Autoname(63, "bucket", lower=True), find="{bucket}"),
    _bucket_setting("BucketVersioning", "s3_bucket_versioning"),
    _bucket_setting(*_ENCRYPTION),
    _bucket_setting("BucketPublicAccessBlock", "s3_bucket_public_access_block"),
    _bucket_setting("BucketLifecycleConfiguration", "s3_bucket_lifecycle_configuration"),
    _bucket_setting("BucketObjectLockConfiguration", "s3_bucket_object_lock_configuration"),
    _bucket_setting("BucketPolicy", "s3_bucket_policy"),
    _bucket_setting("BucketLogging", "s3_bucket_logging"),
    _bucket_setting("BucketNotification", "s3_bucket_notification"),
    _type("s3/bucketObjectv2:BucketObjectv2", "s3_object", find="{bucket}/{key}", repeatable=True),
)

_IDENTITY = (
    _type("kms/key:Key", "kms_key"),
    _type("kms/alias:Alias", "kms_alias", Autoname(256, prefix="alias/"), find="{name}"),
    _type("iam/role:Role", "iam_role", Autoname(64), find="{name}"),
    _type("iam/rolePolicy:RolePolicy", "iam_role_policy", Autoname(128), find="{role}:{name}", repeatable=True),
    _type("iam/instanceProfile:InstanceProfile", "iam_instance_profile", Autoname(128), find="{name}"),
    _type("acm/certificate:Certificate", "acm_certificate", repeatable=True),
    _type("acm/certificateValidation:CertificateValidation", "acm_certificate_validation", repeatable=True),
)

_NETWORK = (
    _type("ec2/vpc:Vpc", "vpc", find=_by("vpc", "cidr_block", tags=_NAME_TAG)),
    _type("ec2/subnet:Subnet", "subnet", find=_by("subnet", "vpc_id", "cidr_block")),
    _type(
        "ec2/internetGateway:InternetGateway",
        "internet_gateway",
        find=_by("internet_gateway", filter=_filter("attachment.vpc-id", "{vpc_id}")),
    ),
    _type("ec2/routeTable:RouteTable", "route_table", find=_by("route_table", "vpc_id", tags=_NAME_TAG)),
    _type("ec2/route:Route", "route", find="{route_table_id}_{destination_cidr_block}"),
    _type(
        "ec2/routeTableAssociation:RouteTableAssociation",
        "route_table_association",
        find="{subnet_id}/{route_table_id}",
    ),
    _type(
        "ec2/securityGroup:SecurityGroup",
        "security_group",
        Autoname(255),
        find=_by("security_group", "vpc_id", "name"),
    ),
    _type("vpc/securityGroupIngressRule:SecurityGroupIngressRule", "vpc_security_group_ingress_rule", find=_RULE),
    _type("vpc/securityGroupEgressRule:SecurityGroupEgressRule", "vpc_security_group_egress_rule", find=_RULE),
    _type("ec2/vpcEndpoint:VpcEndpoint", "vpc_endpoint", find=_by("vpc_endpoint", "vpc_id", "service_name")),
    _type("lb/loadBalancer:LoadBalancer", "lb", Autoname(32), find=_by("lb", "name")),
    _type("lb/targetGroup:TargetGroup", "lb_target_group", Autoname(32), find=_by("lb_target_group", "name")),
    _type("lb/listener:Listener", "lb_listener", find=_by("lb_listener", "load_balancer_arn", "port")),
    # Records that the program makes have no set identifier: zone, name and type are one record's alone.
    _type("route53/record:Record", "route53_record", find="{zone_id}_{name}_{type}"),
)

_COMPUTE = (
    _type("ec2/launchTemplate:LaunchTemplate", "launch_template", Autoname(125), find=_by("launch_template", "name")),
    _type("ec2/instance:Instance", "instance", find=_by("instance", instance_tags=_NAME_TAG, filter=_LIVE)),
    _type("autoscaling/group:Group", "autoscaling_group", Autoname(255), find="{name}"),
    _type(
        "autoscaling/policy:Policy",
        "autoscaling_policy",
        Autoname(255),
        find="{autoscaling_group_name}/{name}",
        repeatable=True,
    ),
)

_MONITORING = (
    _type("cloudwatch/logGroup:LogGroup", "cloudwatch_log_group", Autoname(512), find="{name}"),
    _type(
        "cloudwatch/logMetricFilter:LogMetricFilter",
        "cloudwatch_log_metric_filter",
        Autoname(512),
        find="{log_group_name}:{name}",
        repeatable=True,
    ),
    _type(
        "cloudwatch/metricAlarm:MetricAlarm",
        "cloudwatch_metric_alarm",
        Autoname(255, "alarm_name"),
        find="{alarm_name}",
        repeatable=True,
        spelled={"alarm_name": "name"},
    ),
    _type(
        "cloudwatch/compositeAlarm:CompositeAlarm", "cloudwatch_composite_alarm", find="{alarm_name}", repeatable=True
    ),
    _type("cloudwatch/dashboard:Dashboard", "cloudwatch_dashboard", find="{dashboard_name}", repeatable=True),
    _type("glue/catalogDatabase:CatalogDatabase", "glue_catalog_database", Autoname(255), find="{account}:{name}"),
    _type(
        "glue/catalogTable:CatalogTable",
        "glue_catalog_table",
        Autoname(255),
        find="{account}:{database_name}:{name}",
    ),
    _type("budgets/budget:Budget", "budgets_budget", Autoname(100), find="{account}:{name}"),
)

_MESSAGING = (
    _type(
        "cloudwatch/eventRule:EventRule",
        "cloudwatch_event_rule",
        Autoname(64),
        find="{event_bus_name}/{name}",
        repeatable=True,
    ),
    _type(
        "cloudwatch/eventTarget:EventTarget",
        "cloudwatch_event_target",
        find="{event_bus_name}/{rule}/{target_id}",
        repeatable=True,
    ),
    _type("cloudwatch/eventConnection:EventConnection", "cloudwatch_event_connection", Autoname(64), find="{name}"),
    _type(
        "cloudwatch/eventApiDestination:EventApiDestination",
        "cloudwatch_event_api_destination",
        Autoname(64),
        find="{name}",
    ),
    _type(
        "sns/topic:Topic",
        "sns_topic",
        Autoname(256),
        find="arn:{partition}:sns:{region}:{account}:{name}",
        repeatable=True,
    ),
    _type(
        "sns/topicSubscription:TopicSubscription",
        "sns_topic_subscription",
        repeatable=True,
        spelled={"topic_arn": "topic"},
    ),
    _type("sqs/queue:Queue", "sqs_queue", Autoname(80), find=_by("sqs_queue", "name")),
    _type("sqs/queuePolicy:QueuePolicy", "sqs_queue_policy", find="{queue_url}", repeatable=True),
    _type(
        "sfn/stateMachine:StateMachine",
        "sfn_state_machine",
        Autoname(80),
        find="arn:{partition}:states:{region}:{account}:stateMachine:{name}",
    ),
    _type("sfn/alias:Alias", "sfn_alias", Autoname(80), repeatable=True),
    _type("scheduler/scheduleGroup:ScheduleGroup", "scheduler_schedule_group", Autoname(64), find="{name}"),
    _type("scheduler/schedule:Schedule", "scheduler_schedule", Autoname(64), find="{group_name}/{name}"),
)

RESOURCES: Mapping[str, ResourceType] = {
    row.token: row for row in (*_STORAGE, *_IDENTITY, *_NETWORK, *_COMPUTE, *_MONITORING, *_MESSAGING)
}

DATA_SOURCES: Mapping[str, str] = {
    "aws:index/getCallerIdentity:getCallerIdentity": "aws_caller_identity",
    "aws:index/getPartition:getPartition": "aws_partition",
    "aws:ssm/getParameter:getParameter": "aws_ssm_parameter",
    "aws:route53/getZone:getZone": "aws_route53_zone",
}
"""The provider's data source for each SDK function."""
