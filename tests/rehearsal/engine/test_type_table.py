"""Every row of the reviewed table against the provider on this machine and the installed SDK."""

import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rehearsal.engine import find_provider, naming, sdk
from rehearsal.engine.plugin import Plugin
from rehearsal.engine.provider import Provider
from rehearsal.engine.schema import Block, Nesting
from rehearsal.engine.type_table import DATA_SOURCES, RESOURCES, Autoname, DataSourceType, Lookup, ResourceType

# What the SDK has and the provider may lack, being older: version 7 of the SDK is made from version 6 of the provider.
# `region` is on every type and the engine answers it itself.
NEWER_THAN_THE_PROVIDER = {
    "s3_bucket": {"bucketNamespace", "bucketRegion", "blockedEncryptionTypes"},
    "s3_bucket_server_side_encryption_configuration": {"blockedEncryptionTypes"},
    "s3_bucket_public_access_block": {"skipDestroy"},
    "ecr_repository": {"imageTagMutabilityExclusionFilters"},
    "iam_policy": {"delayAfterPolicyCreationInMs"},
    "acm_certificate": {"privateKeyWo", "privateKeyWoVersion", "export"},
    "subnet": {"ipv4IpamPoolId", "ipv4NetmaskLength", "ipv6IpamPoolId", "ipv6NetmaskLength"},
    "route": {"odbNetworkArn"},
    "vpc_endpoint": {"privateDnsPreference", "privateDnsSpecifiedDomains"},
    "lb": {"enablePrefixForIpv6SourceNat", "healthCheckLogs", "secondaryIpsAutoAssignedPerSubnet"},
    "lb_target_group": {"targetControlPort"},
    "lb_listener": {"jwtValidation"},
    "lb_listener_rule": {"transforms", "jwtValidation", "regexValues", "ipAddressType"},
    "launch_template": {
        "networkPerformanceOptions",
        "secondaryInterfaces",
        "nestedVirtualization",
        "enaQueueCount",
        "groupId",
    },
    "instance": {
        "forceDestroy",
        "placementGroupId",
        "primaryNetworkInterface",
        "secondaryNetworkInterfaces",
        "nestedVirtualization",
    },
    "autoscaling_group": {"instanceLifecyclePolicy"},
    "cloudwatch_log_group": {"deletionProtectionEnabled"},
    "cloudwatch_log_metric_filter": {"applyOnTransformedLogs"},
    "cloudwatch_metric_alarm": {"evaluationCriteria", "evaluationInterval", "evaluationWindow", "warmUpConfiguration"},
    "budgets_budget": {"billingViewArn", "filterExpression", "metrics"},
    "sns_topic": {"maximumMessageSize"},
    "scheduler_schedule": {"actionAfterCompletion"},
    "ami": {"allowUnsafeFilter"},
    "region": {"name"},
    "route53_zone": {"enableAcceleratedRecovery"},
}
# What the provider has and the SDK does not, having dropped it with version 7.
OLDER_THAN_THE_SDK = {
    "launch_template": {"elastic_gpu_specifications", "elastic_inference_accelerator"},
    "instance": {"cpu_core_count", "cpu_threads_per_core"},
}
ENGINES_OWN = {"region"}  # properties, answered without the provider
CLIENTS_OWN = {"id", "timeouts", "region"}  # fields that are no properties: the id travels beside them

IDENTITY = ("account", "partition", "region", "tags")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    scratch: Path = tmp_path_factory.mktemp("p")
    plugin = Plugin(find_provider(), scratch=scratch)
    yield Provider(plugin)
    plugin.close()


def unmatched(block: Block, properties: sdk.Properties, spelled: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """SDK properties without a field, and fields without a property, at any depth."""
    names = naming.match(block.names, properties.shapes, spelled)
    only_sdk = set(properties.shapes) - set(names.to_terraform)
    only_provider = set(block.names) - set(names.to_sdk)
    for field, property_ in names.to_sdk.items():
        if field in block.blocks:
            inner = sdk.nested(properties.shapes[property_].inner)
            assert inner.shapes or not block.blocks[field].block.names, (
                f"{field} is a block, but the SDK's {property_} has no properties"
            )
            more = unmatched(block.blocks[field].block, inner, spelled)
            only_sdk |= more[0]
            only_provider |= more[1]
    return only_sdk, only_provider


def short(row: ResourceType | DataSourceType) -> str:
    return row.terraform.removeprefix("aws_")


@pytest.mark.parametrize("row", RESOURCES.values(), ids=short)
def test_every_property_of_every_type_has_its_field_and_every_field_its_property(provider: Provider, row: ResourceType):
    only_sdk, only_provider = unmatched(provider.resource(row.terraform).block, sdk.resource(row.token), row.spelled)
    assert only_sdk - ENGINES_OWN <= NEWER_THAN_THE_PROVIDER.get(short(row), set())
    assert only_provider - CLIENTS_OWN <= OLDER_THAN_THE_SDK.get(short(row), set())


@pytest.mark.parametrize("row", DATA_SOURCES.values(), ids=short)
def test_every_function_is_answered_by_its_data_source(provider: Provider, row: DataSourceType):
    only_sdk, only_provider = unmatched(provider.data_source(row.terraform).block, sdk.result(row.token), row.spelled)
    assert only_sdk - ENGINES_OWN <= NEWER_THAN_THE_PROVIDER.get(short(row), set())
    assert only_provider <= CLIENTS_OWN


@pytest.mark.parametrize("row", RESOURCES.values(), ids=short)
def test_the_engine_names_exactly_what_pulumi_names(provider: Provider, row: ResourceType):
    properties, block = sdk.resource(row.token), provider.resource(row.terraform).block
    if row.autoname is None:
        assert "name" not in properties.inputs - properties.required
        return
    property_ = naming.match(block.names, properties.shapes, row.spelled).to_sdk[row.autoname.field]
    assert property_ in properties.inputs - properties.required
    assert block.attributes[row.autoname.field].type == "string"
    assert block.attributes[row.autoname.field].settable


def placeholders(template: Any) -> set[str]:
    if isinstance(template, Mapping):
        return {name for inner in template.values() for name in placeholders(inner)}
    if isinstance(template, list | tuple):
        return {name for inner in template for name in placeholders(inner)}
    return {(name or "").split("[")[0] for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("row", [row for row in RESOURCES.values() if row.find], ids=short)
def test_what_finds_a_resource_again_is_made_of_its_own_fields(provider: Provider, row: ResourceType):
    template = row.find.arguments if isinstance(row.find, Lookup) else row.find
    block = provider.resource(row.terraform).block
    fields = {name for name in placeholders(template) if name not in IDENTITY}
    assert fields <= set(block.attributes)
    if isinstance(row.find, Lookup):
        source = provider.data_source(row.find.source).block
        assert row.find.result in source.attributes
        for name in row.find.arguments:
            nested = source.blocks.get(name)
            assert nested.nesting in (Nesting.SET, Nesting.LIST) if nested else source.attributes[name].settable


def test_a_type_without_a_way_to_be_found_is_a_known_exception():
    lost = {short(row) for row in RESOURCES.values() if row.find is None and not row.repeatable}
    assert lost == {"kms_key"}, "AWS has no way to ask for a key by what it was created with"


def test_the_table_speaks_of_no_name_longer_than_terraform_would_take():
    assert all(rule.longest >= 32 for row in RESOURCES.values() if isinstance(rule := row.autoname, Autoname))
