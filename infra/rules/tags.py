"""Tags by which costs are allocated and leftover resources are found."""

from collections.abc import Iterator, Mapping
from typing import Any

from infra.rules.resource import Resource, known_items, value
from infra.rules.rule import Context, Rule

REQUIRED = ("petpark:project", "petpark:stack", "petpark:component")

TAGGABLE = frozenset(
    {
        "acm.Certificate",
        "autoscaling.Group",
        "cloudwatch.CompositeAlarm",
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
        "glue.CatalogDatabase",
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
    launched = {value(entry, "resourceType"): value(entry, "tags") for entry in resource.items("tagSpecifications")}
    if resource.kind == "ec2.LaunchTemplate":
        launched = {kind: launched.get(kind) for kind in ("instance", "volume", *launched)}
    for kind, given in launched.items():
        yield from _missing(f"what it launches ({kind}) ", _as_map(given), resource)
    # A disk that an instance creates has no tags of its own unless they are named, or the provider's default tags.
    if resource.kind == "ec2.Instance":
        disks = {"its root disk": resource.get("rootBlockDevice", "tags"), "its disks": resource.get("volumeTags")}
        name, given = next(((name, tags) for name, tags in disks.items() if tags is not None), ("its root disk", None))
        yield from _missing(f"{name} ", _as_map(given), resource)


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
