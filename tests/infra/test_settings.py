from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra.settings import SettingsInvalid, StackSettings, read

ROOT = Path(__file__).resolve().parents[2]


def _values(stack: str = "test", **changes: str | None) -> dict[str, str]:
    config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    text = {key.removeprefix("petpark:"): str(value) for key, value in config.items()}
    text = {key: value.lower() if value in {"True", "False"} else value for key, value in text.items()}
    return {key: value for key, value in {**text, **changes}.items() if value is not None}


def _read(values: dict[str, str], region: str | None = "eu-west-1") -> StackSettings:
    return read(values.get, region=region, namespace="petpark")


def test_the_test_stack_owns_the_platform_and_prod_names_its_owner():
    assert _read(_values("test")).platform_stack is None
    assert _read(_values("prod")).platform_stack == "test"


def test_what_is_none_is_absent():
    settings = _read(_values())
    assert settings.alarm_email is None
    assert settings.endpoint.tls_certificate is None


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
        ("training_instance_type", "large", "g5.xlarge"),
        ("training_instance_type", "inf2.xlarge", "accelerator"),
        ("training_volume_gb", "74", "75 to"),
        ("training_max_minutes", "1e3", "whole number"),
        ("endpoint_kind", "lambda", "instance, autoscaled"),
        ("endpoint_max_instances", "0", "1 to 100"),
        ("endpoint_port", "65536", "1 to 65535"),
        ("clients", "everybody", "IPv4 block"),
        ("tls_certificate", "arn:aws:acm:eu-west-1:1:certificate/1", "autoscaled"),
        ("poll_seconds", None, "not set"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_was_expected(key, value, told):
    with pytest.raises(SettingsInvalid) as refusal:
        _read(_values(**{key: value}))
    line = next(line for line in str(refusal.value).splitlines() if f"petpark:{key} is" in line)
    assert told in line
    assert value is None or repr(value) in line


def test_a_missing_region_is_named():
    with pytest.raises(SettingsInvalid, match="aws:region is not set"):
        _read(_values(), region=None)


def test_more_instances_at_least_than_at_most_are_refused():
    with pytest.raises(SettingsInvalid, match="endpoint_max_instances is '2'; expected a whole number from 3"):
        _read(_values(endpoint_min_instances="3", endpoint_max_instances="2"))


def test_one_error_tells_everything_that_is_wrong():
    with pytest.raises(SettingsInvalid) as refusal:
        read({}.get, region=None, namespace="petpark")
    told = str(refusal.value)
    assert all(f"{key if ':' in key else f'petpark:{key}'} is not set" in told for key in _keys())


def _keys() -> list[str]:
    return list(_values())


@given(st.sampled_from(_keys()), st.text(max_size=20))
def test_any_text_is_either_taken_or_refused_with_a_sentence(key, text):
    try:
        _read(_values(**{key: text}))
    except SettingsInvalid as refusal:
        assert f"{key} is" in str(refusal)  # noqa: PT017 - either outcome is right, no other error is
