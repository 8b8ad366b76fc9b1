"""AWS's limits on sizes and names, held by everything that the program declares with its largest settings."""

import base64
from collections import defaultdict

import pytest

from infra import policies
from registry.layout.roles import Role
from tests.infra.documents import Written, written

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: white space does not count, and there is
# none. A trust policy may have 4,096 where somebody requested it.
INLINE_OF_A_ROLE, MANAGED, TRUST = 10_240, 6_144, 2_048
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html
BUCKET = 20 * 1024
# https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
KEY = 32 * 1024
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html: before it is base64
USER_DATA = 16 * 1024

SUFFIX = 8
"""Characters that Pulumi adds to a name that is left to it: a hyphen and seven random digits.
https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming"""

NAMES = {
    "aws:autoscaling/group:Group": 255,
    "aws:autoscaling/policy:Policy": 255,
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": 255,
    "aws:cloudwatch/dashboard:Dashboard": 255,
    "aws:cloudwatch/logGroup:LogGroup": 512,
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": 512,
    "aws:cloudwatch/metricAlarm:MetricAlarm": 255,
    "aws:ec2/launchTemplate:LaunchTemplate": 128,
    "aws:ec2/securityGroup:SecurityGroup": 255,
    "aws:glue/catalogDatabase:CatalogDatabase": 255,
    "aws:glue/catalogTable:CatalogTable": 255,
    "aws:iam/instanceProfile:InstanceProfile": 128,
    "aws:iam/role:Role": 64,
    "aws:iam/rolePolicy:RolePolicy": 128,
    "aws:kms/alias:Alias": 256,
    "aws:lb/loadBalancer:LoadBalancer": 32,
    "aws:lb/targetGroup:TargetGroup": 32,
    "aws:s3/bucket:Bucket": 63,
    "aws:scheduler/schedule:Schedule": 64,
    "aws:sfn/stateMachine:StateMachine": 80,
    "aws:cloudwatch/eventApiDestination:EventApiDestination": 64,
    "aws:cloudwatch/eventConnection:EventConnection": 64,
    "aws:cloudwatch/eventRule:EventRule": 64,
    "aws:sns/topic:Topic": 256,
}
"""The longest names that AWS takes, each from the API reference of the call that creates the thing."""

NAMELESS = {
    "aws:acm/certificate:Certificate",
    "aws:acm/certificateValidation:CertificateValidation",
    "aws:route53/record:Record",
    "aws:cloudwatch/eventTarget:EventTarget",
    "aws:ec2/instance:Instance",
    "aws:ec2/internetGateway:InternetGateway",
    "aws:ec2/route:Route",
    "aws:ec2/routeTable:RouteTable",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:ec2/subnet:Subnet",
    "aws:ec2/vpc:Vpc",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:kms/key:Key",
    "aws:lb/listener:Listener",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketLogging:BucketLogging",
    "aws:s3/bucketNotification:BucketNotification",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
    "aws:s3/bucketObjectv2:BucketObjectv2",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:sfn/alias:Alias",  # always `live`
    "aws:sns/topicSubscription:TopicSubscription",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
}

LONGEST_STACK = 100
"""https://www.pulumi.com/docs/iac/concepts/stacks/#create-stack"""


@pytest.fixture(scope="module")
def stacks(deployments, apart, largest):
    return (*deployments.values(), *apart.values(), *largest.values())


@pytest.fixture(scope="module")
def documents(stacks) -> tuple[Written, ...]:
    return tuple(written(stacks))


@pytest.mark.parametrize(("kind", "limit"), [("trust", TRUST), ("bucket", BUCKET), ("key", KEY)])
def test_policies_are_no_longer_than_aws_takes(documents, kind, limit):
    sizes = {each.name: len(each.text.encode()) for each in documents if each.kind == kind}
    assert sizes
    assert {name: size for name, size in sizes.items() if size > limit} == {}


def test_all_policies_of_a_role_together_are_no_longer_than_aws_takes(stacks):
    for deployment in stacks:
        sizes: dict[str, int] = defaultdict(int)
        for resource in deployment.resources:
            if resource.type.endswith(":RolePolicy"):
                sizes[resource.inputs["role"]] += len(resource.inputs["policy"])
        assert sizes
        assert {role: size for role, size in sizes.items() if size > INLINE_OF_A_ROLE} == {}


def test_what_a_person_needs_fits_into_a_managed_policy():
    roles = [f"arn:aws:iam::123456789012:role/{'r' * 64}{role}" for role in (*Role, "p", "q")]
    assert len(policies.as_json(policies.person(roles))) < MANAGED


def test_user_data_is_no_longer_than_aws_takes(stacks):
    scripts = [r.inputs["userData"] for stack in stacks for r in stack.resources if "userData" in r.inputs]
    assert scripts
    for script in scripts:
        raw = script if script.startswith("#!") else base64.b64decode(script).decode()
        assert raw.startswith("#!")
        # Names that are not known here: five buckets and keys, the longest stack.
        assert len(raw) + 5 * 100 + 3 * LONGEST_STACK < USER_DATA


def test_every_name_is_as_short_as_aws_wants_it_with_what_pulumi_adds(stacks):
    for stack in stacks:
        for resource in stack.resources:
            if resource.type.startswith("aws:") and resource.type not in NAMELESS:
                fixed = resource.inputs.get("name")
                length = len(fixed) + LONGEST_STACK - len(stack.stack) if fixed else len(resource.name) + SUFFIX
                assert length <= NAMES[resource.type], f"{resource.name}: {length}"


def test_tags_are_as_short_as_aws_wants_them(stacks):
    """Keys have 128 characters, values 256. https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html"""
    for stack in stacks:
        for resource in stack.resources:
            tags = resource.inputs.get("tags") or {}
            for key, value in tags.items() if isinstance(tags, dict) else ((t["key"], t["value"]) for t in tags):
                assert len(key) <= 128
                assert len(value) + LONGEST_STACK - len(stack.stack) <= 256
