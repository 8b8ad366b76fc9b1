"""Tags by which costs are told apart, and by which what is left behind is found."""

from collections.abc import Iterator, Mapping
from typing import Any

from infra.rules.resource import Resource, known_items, value
from infra.rules.rule import Context, Rule

REQUIRED = ("petpark:project", "petpark:stack", "petpark:component")

TAGGABLE = frozenset(
    {
        "acm.Certificate",
        "autoscaling.Group",
        "cloudwatch.LogGroup",
        "cloudwatch.MetricAlarm",
        "ec2.Instance",
        "ec2.InternetGateway",
        "ec2.LaunchTemplate",
        "ec2.RouteTable",
        "ec2.SecurityGroup",
        "ec2.Subnet",
        "ec2.Vpc",
        "ec2.VpcEndpoint",
        "iam.InstanceProfile",
        "iam.Role",
        "kms.Key",
        "lb.Listener",
        "lb.LoadBalancer",
        "lb.TargetGroup",
        "s3.Bucket",
        "s3.BucketObject",
        "sfn.StateMachine",
        "sns.Topic",
        "vpc.SecurityGroupEgressRule",
        "vpc.SecurityGroupIngressRule",
    }
)
"""Kinds in petpark's stacks that take tags; a test compares them with the SDK. Others are judged if they have tags."""


def _tags(resource: Resource, _context: Context) -> Iterator[str]:
    tags = resource.get("tags")
    if tags is not None or resource.kind in TAGGABLE:
        yield from _missing("", _as_map(tags), resource)
    for entry in resource.items("tagSpecifications"):
        what = f"what it launches ({value(entry, 'resourceType')}) "
        yield from _missing(what, _as_map(value(entry, "tags")), resource)


def _as_map(tags: Any) -> Mapping[str, Any]:
    """Tags as a map; an autoscaling group has a list."""
    if isinstance(tags, Mapping):
        return tags
    return {str(value(tag, "key")): value(tag, "value") for tag in known_items(tags, "tags")}


def _missing(what: str, tags: Mapping[str, Any], resource: Resource) -> Iterator[str]:
    if missing := [key for key in REQUIRED if not value(tags, key)]:
        yield f"{what}lacks the tags {', '.join(missing)}"
    # urn:pulumi:<stack>::<project>::<type>::<name>, https://www.pulumi.com/docs/iac/concepts/resources/names/#urns
    stack, project = resource.urn.removeprefix("urn:pulumi:").split("::")[:2]
    for key, expected in (("petpark:stack", stack), ("petpark:project", project)):
        if value(tags, key) not in (None, expected):
            yield f"{what}has {key} {tags[key]}; expected {expected}"


RULES = (
    Rule(
        name="required-tags",
        demands=f"Everything that takes tags has {', '.join(REQUIRED)}.",
        why="Budgets and cost reports are by these tags, and `petpark doctor --account --leftovers` finds by them.",
        source="https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/cost-alloc-tags.html",
        each=_tags,
    ),
)
