"""Each rule catches at least one resource that the program could declare by mistake."""

import base64
import dataclasses
import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.rules import RULES, UNKNOWN, Limits, Resource, Severity, check
from tests.examples import examples
from tests.infra.rules.conftest import Judged, limits_of, resources_of, violated, with_properties, without

URN = "urn:pulumi:test::petpark::"
TAGS = {"petpark:project": "petpark", "petpark:stack": "test", "petpark:component": "endpoint"}
OPEN = {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "cidrIpv4": "0.0.0.0/0", "cidrIpv6": None}


def resource(type_: str, name: str = "endpoint-new", **properties: object) -> Resource:
    return Resource(type=type_, name=name, urn=f"{URN}{type_}::{name}", properties=properties)


def policy(**statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


CHANGED = [
    ("public-access-block", "test", "models-store-closed", with_properties(restrictPublicBuckets=False)),
    ("public-access-block", "test", "models-store-closed", with_properties(blockPublicAcls=None)),
    ("bucket-has-public-access-block", "test", "data-lake-closed", without),
    ("bucket-states-encryption", "test", "data-lake-encryption", without),
    ("bucket-encryption-algorithm", "test", "data-lake-encryption", with_properties(rules=[{}])),
    ("bucket-not-public", "test", "data-lake-bucket", with_properties(acl="public-read")),
    (
        "bucket-not-public",
        "test",
        "models-policy",
        with_properties(policy=policy(Principal="*", Action="s3:GetObject")),
    ),
    ("disk-encrypted", "test", "endpoint-instance", with_properties(rootBlockDevice={"volumeSize": 20})),
    ("disk-encrypted", "test", "endpoint-instance", with_properties(rootBlockDevice=None)),
    ("disk-encrypted", "prod", "endpoint-machine-template", with_properties(blockDeviceMappings=[])),
    (
        "disk-encrypted",
        "prod",
        "endpoint-machine-template",
        with_properties(blockDeviceMappings=[{"deviceName": "/dev/xvda", "ebs": {"encrypted": "false"}}]),
    ),
    ("key-rotates", "test", "models-encryption", with_properties(enableKeyRotation=None)),
    ("named-keys-are-own", "test", "monitoring-alarms", with_properties(kmsMasterKeyId="alias/aws/sns")),
    ("imdsv2", "test", "endpoint-instance", with_properties(metadataOptions={"httpTokens": "optional"})),
    ("imdsv2", "prod", "endpoint-machine-template", with_properties(metadataOptions=None)),
    ("gpu-types", "test", "training-machine-job-template", with_properties(instanceType="p5.48xlarge")),
    ("gpu-types", "prod", "endpoint-machine-template", with_properties(instanceType="g5.xlarge")),
    ("gpu-types", "test", "endpoint-instance", with_properties(instanceType="inf2.xlarge")),
    ("instance-count", "prod", "endpoint-group", with_properties(maxSize=5.0)),
    ("group-bounded", "prod", "endpoint-group", with_properties(maxSize=5.0)),
    ("group-bounded", "prod", "endpoint-group", with_properties(maxSize=None)),
    ("hourly-cost", "prod", "endpoint-machine-template", with_properties(instanceType="g5.xlarge")),
    ("hourly-cost", "prod", "endpoint-machine-template", without),
    (
        "training-terminates",
        "test",
        "training-machine-job-template",
        with_properties(instanceInitiatedShutdownBehavior="stop"),
    ),
    ("training-watchdog", "test", "training-machine-job-template", with_properties(userData=None)),
    ("log-retention", "test", "training-machine-log", with_properties(retentionInDays=None)),
    ("log-retention", "prod", "endpoint-machine-log", with_properties(retentionInDays=0)),
    ("required-tags", "test", "endpoint-instance", with_properties(tags=None)),
    ("required-tags", "test", "endpoint-instance", with_properties(tags={**TAGS, "petpark:stack": "prod"})),
    ("required-tags", "test", "endpoint-instance", with_properties(rootBlockDevice={"encrypted": True})),
    ("required-tags", "prod", "endpoint-group", with_properties(tags=[{"key": "Name", "value": "group"}])),
    (
        "required-tags",
        "test",
        "training-machine-job-template",
        with_properties(tagSpecifications=[{"resourceType": "volume"}]),
    ),
    (
        "role-not-for-everybody",
        "test",
        "operators-promoter",
        with_properties(assumeRolePolicy=policy(Principal={"AWS": "*"})),
    ),
    ("code-retained", "test", "code-bundle", lambda one: dataclasses.replace(one, retain=False)),
    (
        "wildcard-permissions",
        "test",
        "endpoint-machine-shell",
        with_properties(policy=policy(Action="s3:*", Resource="*")),
    ),
    (
        "wildcard-permissions",
        "test",
        "endpoint-machine-shell",
        with_properties(policy=policy(NotAction="iam:*", Resource=["*"])),
    ),
    (
        "wildcard-permissions",
        "test",
        "endpoint-machine-shell",
        with_properties(policy=policy(Action=["s3:GetObject", "s3:Delete*"], Resource="arn:aws:s3:::*")),
    ),
    ("ingress-from-everywhere", "test", "endpoint-clients", with_properties(cidrIpv4="0.0.0.0/0")),
    ("only-load-balancers-face-everybody", "test", "endpoint-clients", with_properties(**OPEN)),
]

ADDED = [
    (
        "wildcard-permissions",
        resource(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment", policyArn="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
    ),
    (
        "wildcard-permissions",
        resource("aws:iam/role:Role", tags=TAGS, inlinePolicies=[{"policy": policy(Action="*", Resource="*")}]),
    ),
    ("bucket-not-public", resource("aws:s3/bucketAcl:BucketAcl", acl="authenticated-read")),
    ("disk-encrypted", resource("aws:ebs/volume:Volume", tags=TAGS, size=10)),
    (
        "ingress-from-everywhere",
        resource(
            "aws:ec2/securityGroup:SecurityGroup",
            tags=TAGS,
            ingress=[{"protocol": "-1", "fromPort": 0, "toPort": 0, "ipv6CidrBlocks": ["::/0"]}],
        ),
    ),
    (
        "ingress-from-everywhere",
        resource(
            "aws:ec2/securityGroupRule:SecurityGroupRule",
            type="ingress",
            protocol="tcp",
            fromPort=22,
            toPort=22,
            cidrBlocks=["10.0.0.0/8", "0.0.0.0/0"],
        ),
    ),
    (
        "required-tags",
        resource("aws:dynamodb/table:Table", tags={"Name": "of a kind that the program does not have yet"}),
    ),
]


@pytest.mark.parametrize(("rule", "stack", "name", "change"), CHANGED)
def test_a_change_to_what_is_shipped_is_caught(judged, rule, stack, name, change):
    assert rule in judged[stack].findings(name, change)


@pytest.mark.parametrize(("rule", "added"), ADDED)
def test_a_new_resource_is_caught(judged, rule, added):
    one = judged["test"]
    assert rule in violated(check([*one.resources, added], one.limits))


def test_a_load_balancer_may_face_everybody_over_https(judged):
    assert judged["prod"].findings("endpoint-clients", with_properties(cidrIpv4="0.0.0.0/0")) == set()


LIMITED = [
    ("training-gpu-types", {"training_instance_types": '["g5.xlarge", "g6.2xlarge"]'}),
    ("gpu-types", {"allowed_gpu_types": '["g6.xlarge"]'}),
    ("instance-count", {"training_instances": "2"}),
    ("hourly-cost", {"training_instances": "2"}),
    ("hourly-cost", {"allowed_hourly_usd": "1"}),
    ("hourly-cost", {"training_instance_types": '["g5.xlarge", "g5.48xlarge"]'}),
    ("training-watchdog", {"training_max_minutes": "719"}),
    ("data-protected", {"protect_data": "true"}),
]


@pytest.mark.parametrize(("rule", "settings"), LIMITED)
def test_a_limit_of_the_stacks_settings_is_kept(judged, rule, settings):
    found = check(judged["test"].resources, limits_of("test", **settings))
    assert rule in violated(found)


def test_each_rule_has_a_case_that_it_catches():
    assert {case[0] for case in (*CHANGED, *ADDED, *LIMITED)} == {rule.name for rule in RULES}


def test_protected_data_satisfies_the_rule_on_protected_data(redeploy):
    protected = redeploy("test", protect_data="true")
    limits = limits_of("test", protect_data="true")
    assert violated(check(resources_of(protected), limits)) == set()
    for name in ("models-store-bucket", "models-signing"):
        (one,) = (
            each for each in resources_of(protected) if each.name == name and each.kind in ("s3.Bucket", "kms.Key")
        )
        assert violated(check([dataclasses.replace(one, protect=False)], limits)) >= {"data-protected"}


@pytest.mark.parametrize(
    ("options", "caught"),
    [
        ({"httpTokens": "required"}, False),
        ({"httpTokens": "optional"}, True),
        ({"httpEndpoint": "disabled"}, False),
        ({"httpEndpoint": "disabled", "httpTokens": "optional"}, False),
        ({"httpEndpoint": "enabled"}, True),
    ],
)
def test_an_instance_requires_tokens_for_its_metadata_or_has_none(options, caught):
    instance = resource("aws:ec2/instance:Instance", instanceType="m5.large", metadataOptions=options)
    assert ("imdsv2" in {finding.rule.name for finding in check([instance], LIMITS)}) == caught


# --- invariants -----------------------------------------------------------------------------------------------------

BLOCKS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(lambda both: f"{both[0]}/{both[1]}"),
    st.tuples(st.ip_addresses(v=6), st.integers(0, 128)).map(lambda both: f"{both[0]}/{both[1]}"),
)


@given(block=BLOCKS, first=st.integers(0, 65_535), last=st.integers(0, 65_535))
def test_a_way_in_is_caught_exactly_if_its_block_is_everybodys_and_it_is_not_https(block, first, last):
    key = "cidrIpv6" if ":" in block else "cidrIpv4"
    rule = resource(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        tags=TAGS,
        ipProtocol="tcp",
        fromPort=float(first),
        toPort=float(last),
        **{key: block},
    )
    largest = 12 if ":" in block else 8
    everybody = int(block.partition("/")[2]) < largest
    caught = {finding.rule.name for finding in check([rule], LIMITS)}
    assert caught == ({"ingress-from-everywhere"} if everybody and not first == last == 443 else set())


LIMITS = Limits(
    gpu_types=frozenset(),
    instances=10,
    hourly_usd=5,
    protect_data=False,
    training=None,
    hour=lambda name: float(name[1]),
)


@given(sizes=st.lists(st.integers(0, 12), max_size=4), singles=st.integers(0, 12))
def test_the_number_of_instances_and_their_price_are_the_sum_of_all_that_may_run(sizes, singles):
    template = resource("aws:ec2/launchTemplate:LaunchTemplate", name="endpoint-template", instanceType="c7i.large")
    groups = [
        dataclasses.replace(
            resource("aws:autoscaling/group:Group", name=f"endpoint-group-{position}", maxSize=float(size)),
            refers={"launchTemplate": frozenset({template.urn})},
        )
        for position, size in enumerate(sizes)
    ]
    instances = [
        resource("aws:ec2/instance:Instance", name=f"endpoint-{position}", instanceType="m5.large")
        for position in range(singles)
    ]
    limits = dataclasses.replace(LIMITS, hourly_usd=7 * sum(sizes) + 5 * singles)
    total = sum(sizes) + singles
    caught = {finding.rule.name for finding in check([template, *groups, *instances], limits)}
    assert ("instance-count" in caught) == (total > 10)
    assert "hourly-cost" not in caught
    dearer = dataclasses.replace(limits, hourly_usd=limits.hourly_usd - 0.01)
    assert "hourly-cost" in {finding.rule.name for finding in check([template, *groups, *instances], dearer)}


@given(minutes=st.integers(1, 10_080), before=st.text("abc \n#|&", max_size=20))
def test_a_watchdog_is_a_line_of_its_own_and_no_longer_than_the_setting(judged, minutes, before):
    script = f"#!/bin/bash\n{before}\nshutdown -h +{minutes}\n"
    assert ("training-watchdog" in judged_script(judged["test"], script)) == (minutes > 720)
    assert "training-watchdog" in judged_script(judged["test"], script.replace("\nshutdown", "\n# shutdown"))


def judged_script(one: Judged, script: str) -> set[str]:
    (template,) = (each for each in one.resources if each.name == "training-machine-job-template")
    changed = with_properties(userData=base64.b64encode(script.encode()).decode())(template)
    return {finding.rule.name for finding in check([changed], one.limits)}


def test_a_type_without_a_price_is_told_and_counts_nothing(judged):
    (found,) = judged["prod"].found("endpoint-machine-template", with_properties(instanceType="m9.large"))
    assert (found.rule.name, found.decided, found.severity) == ("hourly-cost", False, Severity.ADVISORY)
    assert "no price is known for m9.large" in found.message


# --- what is not known yet ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "stack", "name", "change"),
    [
        ("bucket-not-public", "test", "models-policy", with_properties(policy=UNKNOWN)),
        ("training-watchdog", "test", "training-machine-job-template", with_properties(userData=UNKNOWN)),
        ("imdsv2", "test", "endpoint-instance", with_properties(metadataOptions={"httpTokens": UNKNOWN})),
        ("instance-count", "prod", "endpoint-group", with_properties(maxSize=UNKNOWN)),
        ("wildcard-permissions", "test", "endpoint-machine-grants", with_properties(policy=UNKNOWN)),
    ],
)
def test_a_value_that_is_not_known_yet_decides_nothing_and_ends_nothing(judged, rule, stack, name, change):
    found = [finding for finding in judged[stack].found(name, change) if finding.rule.name == rule]
    assert [(finding.decided, finding.severity) for finding in found] == [(False, Severity.ADVISORY)]
    assert "is known only after the deployment" in found[0].message


PATHS = st.sampled_from(["test", "prod"])


@given(data=st.data(), stack=PATHS)
def test_whatever_is_not_known_yet_makes_no_violation_of_a_stack_that_has_none(judged, data, stack):
    """Before the first deployment many values are not known, one after the other becomes so."""
    one = data.draw(st.sampled_from([each for each in judged[stack].resources if each.properties]))
    hidden = data.draw(st.sets(st.sampled_from(sorted(one.properties)), min_size=1))
    changed = dataclasses.replace(one, properties={**one.properties, **dict.fromkeys(hidden, UNKNOWN)})
    resources = [changed if each is one else each for each in judged[stack].resources]
    assert [f for f in check(resources, judged[stack].limits) if f.decided] == []


@pytest.mark.parametrize(
    "wide", ["*", "**", "*?", "arn:aws:s3:::*", "arn:aws:s3:::**", "arn:*:*:*:*:*", "arn:aws:s3:::*/*"]
)
def test_every_spelling_of_any_resource_is_one(wide: str) -> None:
    document = policy(Action="s3:*", Resource=wide)
    found = check([resource("aws:iam/policy:Policy", policy=document, tags=TAGS)], limits_of("test"))
    assert "wildcard-permissions" in violated(found)


@pytest.mark.parametrize("document", ["no JSON", "[" * 100_000, '{"Statement": [{"Effect": "Allow", "Action": '])
def test_a_policy_that_is_no_json_is_a_violation_and_not_an_error(document: str) -> None:
    found = check([resource("aws:iam/policy:Policy", policy=document, tags=TAGS)], limits_of("test"))
    assert "wildcard-permissions" in violated(found)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(UNKNOWN) | st.just("[]") | st.just("{}"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.data())
@settings(max_examples=examples(200))
def test_no_value_of_any_property_ends_the_check(judged: Mapping[str, Judged], data: st.DataObject) -> None:
    stack = judged[data.draw(st.sampled_from(sorted(judged)))]
    one = data.draw(st.sampled_from([each for each in stack.resources if each.kind]))
    name = data.draw(st.sampled_from(sorted(one.properties) or ["tags"]))
    changed = dataclasses.replace(one, properties={**one.properties, name: data.draw(VALUES)})
    check([changed if each is one else each for each in stack.resources], stack.limits)
