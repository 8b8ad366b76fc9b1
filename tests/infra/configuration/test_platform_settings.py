"""Settings of the stack that owns the platform: channels, gates, photo sources."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from infra.configuration.settings import SettingsInvalid, StackSettings
from registry.channel_policy import ChannelPolicy
from registry.gates import CHECKS, DATA_GATES, MODEL_GATES, StackGates
from tests.infra.configuration.shipped import as_text, parse

TEST = {"certificate": False, "two_people": False, "metric": "none", "gates": False, "movers": []}
UNRELEASED = '{"prod_stack": "none"}'
"""The pipeline ends with the certificate, so it needs no channel but that of the test endpoint."""
PROD = {"certificate": True, "two_people": True, "metric": "none", "gates": True, "movers": []}


def test_a_pipeline_that_would_move_an_undeclared_channel_is_refused_before_it_trains():
    with pytest.raises(SettingsInvalid, match=r"pipeline\.prod_channel is 'pord'; expected one of channels: .*prod"):
        parse(as_text(pipeline='{"prod_channel": "pord"}'))
    assert parse(as_text(pipeline='{"prod_channel": "pord", "prod_stack": "none"}')).pipeline.prod_stack is None


def _channels(channels: Mapping[str, Any], stack: str = "test", **changes: str) -> StackSettings:
    return parse(as_text(stack, channels=json.dumps(channels), **changes))


def test_a_channel_says_what_it_asks_of_whoever_moves_it():
    assert parse(as_text("test")).channels == {
        "test": ChannelPolicy(certificate=False, two_people=False, gates=False),
        "prod": ChannelPolicy(certificate=True, two_people=True),
    }
    changed = _channels(
        {"test": TEST, "field": PROD | {"metric": "accuracy", "movers": ["anna", "ben@park.example"]}},
        pipeline=UNRELEASED,
    )
    assert changed.channels["field"] == ChannelPolicy(metric="accuracy", movers=("anna", "ben@park.example"))


def test_only_the_owner_of_the_registry_declares_channels():
    assert parse(as_text("prod")).channels == {}
    with pytest.raises(SettingsInvalid, match=r"channels is 'prod'; expected none where .* Pulumi\.test\.yaml"):
        _channels({"prod": PROD}, stack="prod")


def test_the_owner_declares_the_channel_that_its_endpoint_follows():
    with pytest.raises(SettingsInvalid, match="channels is 'prod'; expected test among them"):
        _channels({"prod": PROD})
    assert set(_channels({"test": TEST}, pipeline=UNRELEASED).channels) == {"test"}


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("strict", "it has the keys none; expected certificate, gates, metric, movers, two_people"),
        ({"certificate": True}, "it has the keys certificate; expected"),
        (PROD | {"certificate": "yes"}, "`certificate` is 'yes'"),
        (PROD | {"metric": 3}, "`metric` is 3"),
        (PROD | {"metric": "acuracy"}, "`metric` is 'acuracy'; expected accuracy, balanced_accuracy, "),
        (PROD | {"metric": "calibration_error"}, "`metric` is 'calibration_error'; expected accuracy, "),
        (PROD | {"movers": "anna"}, "`movers` is 'anna'"),
        (PROD | {"movers": ["anna*"]}, r"`movers` is \['anna\*'\]"),
    ],
)
def test_a_policy_that_cannot_be_used_is_refused_with_its_channel(policy, told):
    with pytest.raises(SettingsInvalid, match=f"petpark:channels.prod: {told}"):
        _channels({"test": TEST, "prod": policy})


def test_a_channel_has_a_name_that_can_be_part_of_a_key():
    with pytest.raises(SettingsInvalid, match="channels is 'Prod/1'"):
        _channels({"test": TEST, "Prod/1": PROD})


def test_photos_come_from_nowhere_else_unless_the_owner_of_the_platform_says_so():
    assert parse(as_text("test")).photo_sources == ()
    named = '["park-cameras", "archive/2026/summer"]'
    assert parse(as_text("test", photo_sources=named)).photo_sources == (
        "park-cameras",
        "archive/2026/summer",
    )
    with pytest.raises(SettingsInvalid, match=r"expected \[\] where platform is not 'own'.*Pulumi\.test\.yaml"):
        parse(as_text("prod", photo_sources=named))


def test_more_movers_than_a_buckets_policy_can_name_are_refused():
    def named(count: int) -> str:
        movers = [f"somebody.with.a.name{number}@park.example" for number in range(count)]
        return json.dumps({"test": TEST, "field": {**PROD, "movers": movers}, "zoo": {**PROD, "movers": movers}})

    assert len(parse(as_text(channels=named(100), pipeline=UNRELEASED)).channels["zoo"].movers) == 100
    with pytest.raises(SettingsInvalid, match=r"channels.* at most 20,480 characters"):
        parse(as_text(channels=named(200), pipeline=UNRELEASED))


def test_more_photo_sources_than_a_roles_policy_can_hold_are_refused():
    assert len(parse(as_text(photo_sources=json.dumps([f"park-{number}" for number in range(20)]))).photo_sources) == 20
    for many in ([f"park-{number}" for number in range(21)], [f"park-{number}/{'x' * 90}" for number in range(11)]):
        with pytest.raises(SettingsInvalid, match=r"photo_sources.* at most 20 places of 1,000 characters"):
            parse(as_text(photo_sources=json.dumps(many)))


def _gates(gates: Mapping[str, Any], stack: str = "test") -> StackSettings:
    return parse(as_text(stack, gates=json.dumps(gates)))


def test_a_stack_says_what_photos_and_models_must_show():
    shipped = parse(as_text("test")).gates
    assert set(shipped.model) == set(MODEL_GATES)
    assert set(shipped.data) == set(DATA_GATES)
    assert set(shipped.checks) == set(CHECKS)
    changed = _gates({"data": {"hours": 20}, "model": {"accuracy": 0.97}, "checks": {"positive": "dog"}})
    assert changed.gates.to_dict() == {
        "data": {"hours": 20}, "model": {"accuracy": 0.97}, "checks": {"positive": "dog"},
    }  # fmt: skip


def test_a_gate_that_does_not_exist_or_is_no_number_is_refused_with_those_that_are():
    with pytest.raises(SettingsInvalid) as refusal:
        _gates({"data": {}, "model": {"acuracy": 0.9, "recall": "high"}, "checks": {"photo": 3}})
    told = str(refusal.value)
    assert "petpark:gates: model.acuracy is not a known gate; available: accuracy, recall, slice_gap" in told
    assert "petpark:gates: model.recall is 'high'; expected a number from 0 to 1" in told
    assert "petpark:gates: checks.photo is not a known check; available: positive," in told


def test_only_the_owner_of_the_platform_declares_gates():
    assert parse(as_text("prod")).gates == StackGates()
    with pytest.raises(SettingsInvalid, match=r"gates is 'model'; expected none where .* Pulumi\.test\.yaml"):
        _gates({"model": {}}, stack="prod")
    with pytest.raises(SettingsInvalid, match="petpark:gates: it has the parts none; expected data, model, checks"):
        _gates({})


def test_a_channel_that_the_pipeline_moves_has_no_movers_unless_people_make_that_move():
    closed = PROD | {"movers": ["vera"]}
    with pytest.raises(SettingsInvalid, match=r"channels\.prod\.movers is 'vera'; expected .*prod_stack: none"):
        parse(as_text(channels=json.dumps({"test": TEST, "prod": closed})))
    with pytest.raises(SettingsInvalid, match=r"channels\.test\.movers is 'vera'"):
        parse(as_text(channels=json.dumps({"test": TEST | {"movers": ["vera"]}, "prod": PROD})))
    without = json.dumps({"prod_stack": "none"})
    settings = parse(as_text(channels=json.dumps({"test": TEST, "prod": closed}), pipeline=without))
    assert settings.channels["prod"].movers == ("vera",)
