import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.configuration.settings import SettingsInvalid, read, require_stacks, require_tags
from tests.infra.configuration.shipped import as_text, parse
from tests.infra.conftest import shipped


def test_the_test_stack_owns_the_platform_and_prod_names_its_owner():
    assert parse(as_text("test")).platform_stack is None
    assert parse(as_text("prod")).platform_stack == "test"


def test_what_is_none_is_absent():
    settings = parse(as_text())
    assert settings.alarm_email is None
    assert settings.endpoint.tls_certificate is None


@pytest.mark.parametrize("key", ["chat_webhook", "pager_url"])
@pytest.mark.parametrize(
    "address",
    [
        *("http://hooks.example.org/x", "ftp://hooks.example.org", "hooks.example.org/x", "https://", "https:///x"),
        *(
            "https://localhost/x",
            "https://ana:secret@example.org/x",
            "https://example.org/x#y",
            "https://example.org/*",
        ),
        *("https://example.org/a b", "https://example.org/%zz", "https://é.example/x", "https://[::1]/x", ""),
        *("https://example.org/" + "x" * 2000, "https://example.org/x\n", "https://" + "a." * 5000),
    ],
)
def test_an_address_that_sns_and_eventbridge_would_refuse_is_refused_and_not_shown(key: str, address: str):
    with pytest.raises(SettingsInvalid, match=rf"{key} is '\(hidden\)'; expected an https address"):
        parse(as_text(**{key: address}))


@pytest.mark.parametrize(
    "address",
    [
        "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXX",
        "https://events.pagerduty.com/integration/0123/enqueue",
        "https://api.eu.opsgenie.com/v1/json/amazonsns?apiKey=01-23",
        "https://example.webhook.office.com:443/webhookb2/a@b/IncomingWebhook/c%20d?sig=a_b-c~d&sv=1.0",
    ],
)
def test_addresses_of_services_are_taken(address: str):
    assert parse(as_text(chat_webhook=address)).chat_webhook == address


def test_a_chat_without_its_address_is_named_with_the_command():
    with pytest.raises(SettingsInvalid, match="alarm_actions is 'chat'; expected chat_webhook as well: pulumi config"):
        parse(as_text(alarm_actions='{"page": ["chat"]}'))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("model", "Pets!", "short name"),
        ("platform", "", "'own'"),
        ("protect_data", "yes", "true or false"),
        ("network", "10.20.0.0", "prefix"),
        ("network", "10.20.0.1/16", "block"),
        ("network", "10.20.0.0/24", "/16 to /22"),
        ("network", "10.0.0.0/8", "/16 to /22"),
        ("zones", "eu-west-1a", "eu-west-1a,eu-west-1b"),
        ("zones", "eu-west-1a,eu-west-1a", "two zones"),
        ("zones", "us-east-1a,us-east-1b", "two zones of the region"),
        ("log_days", "31", "one of 1, 3, 5"),
        ("latency_alarm_ms", "0", "1 to 60000"),
        ("latency_alarm_ms", "٣", "whole number"),
        ("training_instance_types", "g5.xlarge", "a list of 1 to 8 instance types"),
        ("training_instance_types", "[3]", "a list of 1 to 8 instance types"),
        ("training_instance_types", '["g5.xlarge", "g5.xlarge"]', "a list of 1 to 8 instance types"),
        ("training_volume_gb", "74", "75 to"),
        ("training_max_minutes", "1e3", "whole number"),
        ("training_instances", "0", "1 to 64"),
        ("endpoint_kind", "lambda", "instance, autoscaled"),
        ("endpoint_max_instances", "0", "1 to 100"),
        ("endpoint_port", "65536", "1 to 65535"),
        ("clients", "everybody", "IPv4 block"),
        ("tls_certificate", "arn:aws:acm:eu-west-1:1:certificate/1", "autoscaled"),
        ("poll_seconds", None, "not set"),
        ("api_keys", "optional", "required, open"),
        ("api_keys", None, "not set"),
        ("grpc_port", "-1", "0 to 65535"),
        ("endpoint_providers", "cpu,abacus", "cpu, cuda"),
        ("endpoint_providers", "cpu,cpu", "cpu, cuda"),
        ("telemetry_sample_percent", "101", "0 to 100"),
        ("telemetry_buffer_mb", "15", "16 to 4096"),
        ("telemetry_days", "0", "1 to 3650"),
        ("telemetry_thumbnails", '["Gate"]', "a list of cameras"),
        ("telemetry_redact", '["label"]', "camera, embedding, id"),
        ("otlp_endpoint", "collector:4318", "an address such as"),
        ("object_lock_days", "-1", "0 to 36500"),
        ("object_lock_days", "36501", "0 to 36500"),
        ("channels", "prod", "a map from channel names"),
        ("channels", "[]", "a map from channel names"),
        ("channels", None, "not set"),
        ("accounts", "prod", "a map from at most 20 stacks"),
        ("accounts", '{"prod": 210987654321}', "account ids (12 digits, in quotes)"),
        ("accounts", '{"prod": "21098765432"}', "account ids (12 digits, in quotes)"),
        ("accounts", '{"*": "210987654321"}', "their account ids"),
        ("accounts", json.dumps({f"s{n}": f"{n:012}" for n in range(21)}), "at most 20 stacks"),
        ("photo_sources", "park", "a list of buckets"),
        ("photo_sources", "{}", "a list of buckets"),
        ("photo_sources", "[3]", "a list of buckets"),
        ("photo_sources", '["s3://park"]', "a list of buckets"),
        ("photo_sources", '["park*"]', "a list of buckets"),
        ("photo_sources", '["park/"]', "a list of buckets"),
        ("photo_sources", '["park//2026"]', "a list of buckets"),
        ("photo_sources", '["park/${aws:username}"]', "a list of buckets"),
        ("photo_sources", '["park", "park"]', "a list of buckets"),
        ("gates", "accuracy", "a map of data, model and checks"),
        ("gates", None, "not set"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_was_expected(key, value, told):
    with pytest.raises(SettingsInvalid) as refusal:
        parse(as_text(**{key: value}))
    line = next(line for line in str(refusal.value).splitlines() if f"petpark:{key} is" in line)
    assert told in line
    assert value is None or repr(value)[:400] in line


@pytest.mark.parametrize(
    ("types", "told"),
    [
        (["g5.xlarge", "large"], "not an EC2 instance type"),
        (["g5.xlarge", "inf2.xlarge"], "accelerator"),
        (["g5.xlarge", "c7i.large"], "all with a GPU or all without"),
        (["c7i.large", "c7g.large"], "of one architecture"),
        ([f"c7i.{size}xlarge" for size in range(9)], "1 to 8"),
        ([], "1 to 8"),
    ],
)
def test_training_instance_types_share_the_machine_image(types, told):
    with pytest.raises(SettingsInvalid, match="petpark:training_instance_types is") as refusal:
        parse(as_text(training_instance_types=json.dumps(types)))
    assert str(refusal.value).count("petpark:training_instance_types") == 1
    assert told in str(refusal.value)


def test_callers_and_probes_of_a_load_balancer_have_ports_of_their_own():
    with pytest.raises(SettingsInvalid, match=r"petpark:endpoint_port is .* the load balancer asks for health on this"):
        parse(as_text("prod", endpoint_port="8081"))


def test_training_instance_types_keep_their_order():
    found = parse(as_text(training_instance_types='["g6.xlarge", "g5.2xlarge"]')).training
    assert [kind.name for kind in found.instance_types] == ["g6.xlarge", "g5.2xlarge"]


def test_an_endpoint_behind_a_load_balancer_has_no_grpc():
    assert parse(as_text("test", grpc_port="8081")).endpoint.grpc_port == 8081
    with pytest.raises(SettingsInvalid, match="grpc_port is '8081'; expected 0"):
        parse(as_text("prod", grpc_port="8081"))


def test_prod_asks_for_keys_in_the_files_that_we_ship():
    assert (
        parse(as_text("test")).endpoint.api_keys,
        parse(as_text("prod")).endpoint.api_keys,
    ) == ("open", "required")


def test_the_providers_of_the_settings_are_those_that_an_endpoint_knows():
    from serving.inference.execution_providers import NAMES

    assert parse(as_text(endpoint_providers=",".join(NAMES))).endpoint.providers == ",".join(NAMES)


def test_a_missing_region_is_named():
    with pytest.raises(SettingsInvalid, match="aws:region is not set"):
        parse(as_text(), region=None)


def test_more_instances_at_least_than_at_most_are_refused():
    with pytest.raises(SettingsInvalid, match="endpoint_max_instances is '2'; expected a whole number from 3"):
        parse(as_text(endpoint_min_instances="3", endpoint_max_instances="2"))


def test_one_error_tells_everything_that_is_wrong():
    with pytest.raises(SettingsInvalid) as refusal:
        read({}.get, region=None, namespace="petpark")
    told = str(refusal.value)
    assert all(f"{key if ':' in key else f'petpark:{key}'} is not set" in told for key in _keys())


def _keys() -> list[str]:
    return [key for key in as_text() if key != "aws:defaultTags"]


@given(st.sampled_from(_keys()), st.text(max_size=20))
def test_any_text_is_either_taken_or_refused_with_a_sentence(key, text):
    try:
        parse(as_text(**{key: text}))
    except SettingsInvalid as refusal:
        told = {key, key.replace("_min_", "_max_")}  # a fewest that is above the most is told of the most
        assert any(name in str(refusal) for name in told)  # noqa: PT017 - either outcome is right, no other error is


@pytest.mark.parametrize("hostile", ["9" * 5000, "[" * 50_000, '{"a":' * 50_000], ids=["digits", "lists", "maps"])
def test_a_value_of_any_length_or_depth_is_refused_in_a_sentence(hostile):
    usual = as_text()
    for key in set(_keys()) - {"aws:region"}:
        with pytest.raises(SettingsInvalid, match=f"petpark:{key}") as refusal:
            parse(usual | {key: hostile})
        assert max(map(len, str(refusal.value).splitlines())) < 1000


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "us-iso-east-1", "eu-isoe-west-1", "eu west 1", "x"])
def test_a_region_whose_arns_are_others_is_refused(region):
    with pytest.raises(SettingsInvalid, match=rf"aws:region is '{region}'; expected a region such as eu-west-1"):
        parse(as_text(zones=f"{region}a,{region}b"), region=region)


@pytest.mark.parametrize("region", ["us-east-1", "ap-southeast-2", "il-central-1", "mx-central-1", "ca-west-1"])
def test_a_region_of_the_usual_partition_is_taken(region):
    assert parse(as_text(zones=f"{region}a,{region}b"), region=region).region == region


@pytest.mark.parametrize("block", ["127.0.0.0/16", "0.0.0.0/16", "169.254.0.0/16", "224.0.0.0/20", "240.0.0.0/16"])
def test_a_network_of_addresses_that_no_machine_can_have_is_refused(block):
    with pytest.raises(SettingsInvalid, match=f"network is '{block}'; expected a private block"):
        parse(as_text(network=block))


@pytest.mark.parametrize(
    "text", ["", " ", "null", "true", "anna", "anna@", "@park.example", "anna@park", "a b@park.example"]
)
def test_alarms_are_written_to_an_address_that_can_be_one(text):
    with pytest.raises(SettingsInvalid, match=r"alarm_email is .*; expected an address"):
        parse(as_text(alarm_email=text))
    assert parse(as_text(alarm_email="Anna+alarms@park.example")).alarm_email == "Anna+alarms@park.example"


def test_one_port_cannot_answer_both_protocols():
    with pytest.raises(SettingsInvalid, match="grpc_port is '8080'; expected another port than endpoint_port"):
        parse(as_text(endpoint_port="8080", grpc_port="8080"))


@pytest.mark.parametrize("text", ["", "../test", "test ", "a/b", "none?"])
def test_the_platforms_owner_is_a_name_that_a_stack_can_have(text):
    with pytest.raises(SettingsInvalid, match=r"platform is .*; expected the name of a stack, or 'own'"):
        parse(as_text("prod", platform=text))


@pytest.mark.parametrize("stack", ["test", "prod"])
def test_everything_of_a_shipped_stack_bears_its_name_and_no_last_day(stack):
    require_tags(shipped(stack)["aws:defaultTags"], project="petpark", stack=stack)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("petpark:stack", "test"),
        ("petpark:project", "pets"),
        ("petpark:expires", "2026-13-01"),
        ("petpark:expires", None),
    ],
)
def test_tags_of_another_stack_or_without_a_day_are_refused(key, value):
    tags = {"petpark:project": "petpark", "petpark:stack": "ana", "petpark:expires": "2026-12-31"}
    require_tags(json.dumps({"tags": tags}), project="petpark", stack="ana")
    changed = {name: text for name, text in {**tags, key: value}.items() if text is not None}
    with pytest.raises(SettingsInvalid, match=r"Pulumi\.ana\.yaml"):
        require_tags(json.dumps({"tags": changed}), project="petpark", stack="ana")


def test_a_pipeline_that_names_a_stack_without_a_file_is_refused(tmp_path: Path):
    for name in ("Pulumi.yaml", "Pulumi.test.yaml", "Pulumi.prod.yaml"):
        (tmp_path / name).touch()
    require_stacks(parse(as_text()), project=tmp_path)
    wrong = json.dumps({"prod_stack": "prodd", "drift_stacks": ["test", "porto"]})
    with pytest.raises(SettingsInvalid) as refused:
        require_stacks(parse(as_text(pipeline=wrong)), project=tmp_path)
    assert "petpark:pipeline.prod_stack has 'prodd'; expected a stack with a file Pulumi.prodd.yaml: prod, test" in str(
        refused.value
    )
    assert "drift_stacks has 'porto'" in str(refused.value)
    require_stacks(parse(as_text("prod")), project=tmp_path / "elsewhere")  # the pipeline is its owner's


@given(st.none() | st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_whatever_stands_for_the_tags_is_refused_in_a_sentence(text):
    with pytest.raises(SettingsInvalid, match="aws:defaultTags"):
        require_tags(text, project="petpark", stack="test")
