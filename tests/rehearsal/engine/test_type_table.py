"""Every row of the reviewed table against the provider on this machine and the installed SDK."""

import importlib
import inspect
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pulumi import _types as types

from rehearsal.engine import find_provider
from rehearsal.engine.provider.client import Plugin, Provider
from rehearsal.engine.provider.schema import Block, Nesting
from rehearsal.engine.translation import names as sdk
from rehearsal.engine.translation.type_table import DATA_SOURCES, RESOURCES, Autoname, Lookup, ResourceType

# What the SDK has and the provider may lack, being older: version 7 of the SDK is made from version 6 of the provider.
# `region` is on every type and the engine answers it itself.
NEWER_THAN_THE_PROVIDER = {
    "s3_bucket": {"bucketNamespace", "bucketRegion", "blockedEncryptionTypes"},
    "s3_bucket_server_side_encryption_configuration": {"blockedEncryptionTypes"},
    "s3_bucket_public_access_block": {"skipDestroy"},
    "acm_certificate": {"privateKeyWo", "privateKeyWoVersion", "export"},
    "subnet": {"ipv4IpamPoolId", "ipv4NetmaskLength", "ipv6IpamPoolId", "ipv6NetmaskLength"},
    "route": {"odbNetworkArn"},
    "vpc_endpoint": {"privateDnsPreference", "privateDnsSpecifiedDomains"},
    "lb": {"enablePrefixForIpv6SourceNat", "healthCheckLogs", "secondaryIpsAutoAssignedPerSubnet"},
    "lb_target_group": {"targetControlPort"},
    "lb_listener": {"jwtValidation"},
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
    "cloudwatch_event_connection": {"connectivityParameters"},
    "autoscaling_group": {"instanceLifecyclePolicy"},
    "cloudwatch_log_group": {"deletionProtectionEnabled"},
    "cloudwatch_log_metric_filter": {"applyOnTransformedLogs"},
    "cloudwatch_metric_alarm": {"evaluationCriteria", "evaluationInterval", "evaluationWindow", "warmUpConfiguration"},
    "budgets_budget": {"billingViewArn", "filterExpression", "metrics"},
    "glue_catalog_table": {"icebergTableInput", "viewDefinition", "parameters"},  # parameters: of partition keys
    "sns_topic": {"maximumMessageSize"},
    "scheduler_schedule": {"actionAfterCompletion"},
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


def unmatched(block: Block, shapes: sdk.Shapes, spelled: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """SDK properties without a field, and fields without a property, at any depth."""
    names = sdk.match(block.types, shapes, spelled)
    only_sdk = set(shapes) - set(names.to_terraform)
    only_provider = set(block.types) - set(names.to_sdk)
    for field, property_ in names.to_sdk.items():
        if field in block.blocks:
            inner = sdk.nested(shapes[property_])
            assert inner or not block.blocks[field].block.types, (
                f"{field} is a block, but the SDK's {property_} has no properties"
            )
            more = unmatched(block.blocks[field].block, inner, spelled)
            only_sdk |= more[0]
            only_provider |= more[1]
    return only_sdk, only_provider


def short(row: ResourceType) -> str:
    return row.terraform.removeprefix("aws_")


@pytest.mark.parametrize("row", RESOURCES.values(), ids=short)
def test_every_property_of_every_type_has_its_field_and_every_field_its_property(provider: Provider, row: ResourceType):
    only_sdk, only_provider = unmatched(provider.resource(row.terraform).block, sdk.resource(row.token), row.spelled)
    assert only_sdk - ENGINES_OWN <= NEWER_THAN_THE_PROVIDER.get(short(row), set())
    assert only_provider - CLIENTS_OWN <= OLDER_THAN_THE_SDK.get(short(row), set())


@pytest.mark.parametrize(("token", "source"), DATA_SOURCES.items())
def test_every_function_is_answered_by_its_data_source(provider: Provider, token: str, source: str):
    only_sdk, only_provider = unmatched(provider.data_source(source).block, sdk.result(token), {})
    assert only_sdk - ENGINES_OWN <= NEWER_THAN_THE_PROVIDER.get(source.removeprefix("aws_"), set())
    assert only_provider <= CLIENTS_OWN


def optional_inputs(token: str) -> set[str]:
    """The properties of `token` that a program may leave out."""
    found = sdk.resource_class(token)
    arguments = getattr(importlib.import_module(found.__module__), f"{found.__name__}Args")
    signature = inspect.signature(arguments.__init__).parameters
    spelled: dict[str, str] = types.input_type_py_to_pulumi_names(arguments)
    return {wire for python, wire in spelled.items() if signature[python].default is not inspect.Parameter.empty}


@pytest.mark.parametrize("row", RESOURCES.values(), ids=short)
def test_the_engine_names_exactly_what_pulumi_names(provider: Provider, row: ResourceType):
    shapes, block = sdk.resource(row.token), provider.resource(row.terraform).block
    if row.autoname is None:
        assert "name" not in optional_inputs(row.token)
        return
    property_ = sdk.match(block.types, shapes, row.spelled).to_sdk[row.autoname.field]
    assert property_ in optional_inputs(row.token)
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
