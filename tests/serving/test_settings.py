import json
from pathlib import Path

import pytest

from registry.channel_policy import STRICT, ChannelPolicy
from serving.settings import ServingSettings, SettingInvalid, SettingMissing

COMPLETE = {
    "PETPARK_MODEL_STORE": "store",
    "PETPARK_MODEL": "pets",
    "PETPARK_CHANNEL": "prod",
    "PETPARK_SIGNING_KEY": "arn:aws:kms:eu-west-1:123456789012:key/1",
    "PETPARK_REQUIRE_CERTIFICATE": "true",
    "PETPARK_API_KEYS": "required",
    "PETPARK_API_KEYS_PREFIX": "api_keys/prod/",
}


def test_what_is_not_said_has_the_defaults_of_the_interface():
    settings = ServingSettings.from_environment(COMPLETE)
    assert settings.host == "0.0.0.0"
    assert (settings.port, settings.poll_seconds) == (8080, 2.0)
    assert settings.log_group is None
    assert settings.threads >= 1
    assert (settings.grpc_port, settings.providers) == (0, ("cpu",))
    assert (settings.health_port, settings.behind_load_balancer) == (0, False)


def test_certificates_are_asked_for_unless_somebody_says_otherwise():
    unsaid = {name: value for name, value in COMPLETE.items() if name != "PETPARK_REQUIRE_CERTIFICATE"}
    assert ServingSettings.from_environment(unsaid).require_certificate
    assert not ServingSettings.from_environment(COMPLETE | {"PETPARK_REQUIRE_CERTIFICATE": "false"}).require_certificate


@pytest.mark.parametrize("name", sorted(set(COMPLETE) - {"PETPARK_REQUIRE_CERTIFICATE"}))
@pytest.mark.parametrize("value", ["", None])
def test_a_missing_variable_is_named(name, value):
    environment = {key: found for key, found in COMPLETE.items() if key != name} | (
        {} if value is None else {name: value}
    )
    with pytest.raises(SettingMissing, match=name):
        ServingSettings.from_environment(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PETPARK_REQUIRE_CERTIFICATE", "perhaps"),
        ("PETPARK_PORT", "eighty"),
        ("PETPARK_PORT", "0"),
        ("PETPARK_PORT", "65536"),
        ("PETPARK_POLL_SECONDS", "-1"),
        ("PETPARK_POLL_SECONDS", "nan"),
        ("PETPARK_API_KEYS", "perhaps"),
        ("PETPARK_API_KEYS_PREFIX", "petpark/prod"),
        ("PETPARK_GRPC_PORT", "65536"),
        ("PETPARK_GRPC_PORT", "8080"),
        ("PETPARK_HEALTH_PORT", "8080"),
        ("PETPARK_BEHIND_LOAD_BALANCER", "perhaps"),
        ("PETPARK_PROVIDERS", "cuda,abacus"),
        ("PETPARK_CAMERAS", "http://192.0.2.7:8090"),
        ("PETPARK_CAMERAS", "http://127.0.0.1:8090,http://127.0.0.1.example.org:8090"),
        ("PETPARK_CAMERAS", "http://127.0.0.1"),
        ("PETPARK_CAMERAS", "http://127.0.0.1:8090/v1/cameras"),
        ("PETPARK_CAMERAS", "http://x@127.0.0.1:99999"),
        ("PETPARK_CHANNEL_RULE", "{"),
        ("PETPARK_CHANNEL_RULE", "[]"),
        ("PETPARK_CHANNEL_RULE", '{"certificate": true}'),
    ],
)
def test_a_value_that_cannot_be_is_named(name, value):
    with pytest.raises(SettingInvalid, match=name):
        ServingSettings.from_environment(COMPLETE | {name: value})


def test_without_certificates_no_key_is_needed():
    environment = COMPLETE | {"PETPARK_SIGNING_KEY": "", "PETPARK_REQUIRE_CERTIFICATE": "false"}
    assert ServingSettings.from_environment(environment).signing_key is None


def test_an_endpoint_may_be_open_and_know_keys_all_the_same():
    opened = ServingSettings.from_environment(COMPLETE | {"PETPARK_API_KEYS": "open"})
    assert (opened.api_keys, opened.api_keys_prefix) == ("open", "api_keys/prod/")
    ignorant = ServingSettings.from_environment(COMPLETE | {"PETPARK_API_KEYS": "open", "PETPARK_API_KEYS_PREFIX": ""})
    assert ignorant.api_keys_prefix is None


def test_cameras_rule_and_role_of_the_pages_are_read():
    rule = ChannelPolicy(certificate=False, two_people=False, movers=("otto",))
    output = {
        "PETPARK_CAMERAS": "http://127.0.0.1:8090/, http://localhost:8091",
        "PETPARK_CHANNEL_RULE": json.dumps(rule.to_dict()),
        "PETPARK_PROMOTER_ROLE": "arn:aws:iam::123456789012:role/promoter",
    }
    settings = ServingSettings.from_environment(COMPLETE | output)
    assert settings.cameras == ("http://127.0.0.1:8090", "http://localhost:8091")
    assert (settings.rule, settings.promoter_role) == (rule, output["PETPARK_PROMOTER_ROLE"])
    untold = ServingSettings.from_environment(COMPLETE)
    assert (untold.cameras, untold.rule, untold.promoter_role) == ((), STRICT, None)


def test_providers_are_read_in_their_order():
    environment = COMPLETE | {"PETPARK_PROVIDERS": " TensorRT, cuda,cpu,cuda"}
    assert ServingSettings.from_environment(environment).providers == ("tensorrt", "cuda", "cpu")


@pytest.mark.parametrize(
    ("environment", "cache"),
    [
        ({"CACHE_DIRECTORY": "/var/cache/petpark", "PETPARK_HOME": "/opt/petpark"}, Path("/var/cache/petpark")),
        ({"PETPARK_HOME": "/opt/petpark", "XDG_CACHE_HOME": "/x", "HOME": "/root"}, Path("/opt/petpark/cache")),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/home/eve"}, Path("/x/petpark")),
        ({"XDG_CACHE_HOME": "not/absolute", "HOME": "/home/eve"}, Path("/home/eve/.cache/petpark")),
        ({"PETPARK_HOME": "", "HOME": "/home/eve"}, Path("/home/eve/.cache/petpark")),
        ({}, None),
    ],
)
def test_files_are_remembered_in_the_install_root_or_where_the_users_caches_are(environment, cache):
    assert ServingSettings.from_environment(COMPLETE | environment).cache == cache
