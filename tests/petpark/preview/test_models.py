"""What a change means for the models, on the page."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.configuration.stack_file import read_stack
from petpark.preview.models import part, registry_facts
from petpark.preview.models.changes import Rules, found, section
from petpark.preview.page import comment
from petpark.preview.plan import Models, Plan
from petpark.preview.pulumi_json import read_plan
from petpark.preview.recorded.record import RecordedResource, StackRecord
from registry.channel_policy import ChannelPolicy
from registry.encoding import format_time
from registry.gates import MODEL_GATES, StackGates
from tests.infra.conftest import ROOT, Deployment, deploy
from tests.petpark.conftest import Place, Run, outputs
from tests.petpark.preview.previews import digest
from tests.petpark.preview.test_page import planned, same_as_golden

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def certified(days: int) -> dict[str, str]:
    return {"decision": "certified", "expires_at": format_time(NOW + timedelta(days=days))}


def version(accuracy: float, **facts: Any) -> dict[str, Any]:
    metrics = {
        **{"accuracy": accuracy, "accuracy_low": accuracy - 0.04, "accuracy_high": accuracy + 0.03, "n": 400.0},
        **{"consistency": 0.97, "consistency_low": 0.95, "consistency_high": 0.98, "temperature": 1.2},
    }
    bounds = {"accuracy": metrics["accuracy_low"], "consistency": 0.95, "recall": 0.7}
    return {"metrics": metrics, "bounds": bounds, "open_gates": [], "certificate": certified(200), **facts}


REGISTRY: Mapping[str, Any] = {
    "model": "pets",
    "channels": {"prod": 2, "test": 3},
    "versions": {"2": version(0.84), "3": version(0.93, certificate=None)},
}


def shipped(**changes: Any) -> Rules:
    settings = read_stack(ROOT, "test")
    rules = Rules(
        model=settings.model, channel=settings.endpoint.channel, gates=settings.gates, channels=settings.channels
    )
    return dataclasses.replace(rules, **changes)


PROD: Mapping[str, Any] = {"channel": "prod", "require_certificate": True}


def gates(**model: float) -> StackGates:
    own = shipped().gates
    return dataclasses.replace(own, model={**own.model, **model})


def looked(then: Rules, registry: Mapping[str, Any] = REGISTRY, *, now: Rules | None = None) -> Models:
    return found(registry, "from the registry, now", now or shipped(), then, at=NOW)


def golden(name: str, models: Models, plan: Plan | None = None) -> None:
    plan = plan or planned('{"steps": []}')
    plan = dataclasses.replace(plan, models=models)
    same_as_golden(name, comment([plan], sections=[section(plan)]))


def texts(models: Models) -> str:
    return "\n".join(each.text for each in models.findings)


def test_a_new_gate(code: Path, now: Mapping[str, Deployment]) -> None:
    asked = gates(abstention_refused_far=0.9, accuracy=0.82)
    plan = planned(digest(now["test"], deploy("test", code, {}, gates=json.dumps(asked.to_dict()))))
    golden("new-gate", looked(shipped(gates=asked)), plan)


def test_a_model_move(code: Path, now: Mapping[str, Deployment]) -> None:
    plan = planned(digest(now["test"], deploy("test", code, {}, channel="prod")))
    golden("model-move", looked(shipped(channel="prod")), plan)


def test_an_expired_certificate() -> None:
    expired = {**REGISTRY, "versions": {**REGISTRY["versions"], "2": version(0.84, certificate=certified(-3))}}
    models = looked(shipped(**PROD), expired, now=shipped(**PROD))
    assert [each.serious for each in models.findings] == [True]
    golden("expired-certificate", models, planned('{"steps": []}', "prod"))


@pytest.mark.parametrize(
    ("certificate", "told", "serious"),
    [
        (certified(200), "is certified until 2027-06-18", False),
        (certified(12), "is certified until 2026-12-12, which is in 12 days", False),
        (certified(0), "the certificate has expired, and its endpoint does not serve one without", True),
        (None, "is not certified, and its endpoint does not serve one without", True),
        ({"decision": "revoked", "expires_at": None}, "is revoked", True),
    ],
)
def test_a_certificate_is_told_by_what_it_is_worth(certificate: Any, told: str, serious: bool) -> None:
    registry = {**REGISTRY, "versions": {**REGISTRY["versions"], "2": version(0.84, certificate=certificate)}}
    (finding,) = looked(shipped(**PROD), registry, now=shipped(**PROD)).findings
    assert told in finding.text
    assert finding.serious is serious


def test_a_channel_that_begins_to_ask_says_what_speaks_against_its_version() -> None:
    registry = {
        **REGISTRY,
        "versions": {**REGISTRY["versions"], "3": version(0.5, certificate=None, open_gates=["recall"])},
    }
    policies = {**shipped().channels, "test": ChannelPolicy(two_people=False)}
    told = texts(looked(shipped(channels=policies), registry))
    assert (
        "rule of channel test: certificate no → yes, gates no → yes; its version 3 is not certified and did not" in told
    )
    assert "did not pass recall" in told
    lenient = {**shipped().channels, "test": ChannelPolicy(two_people=False, gates=False)}
    assert "did not pass" not in texts(looked(shipped(channels=lenient), registry))


@given(st.sampled_from(sorted(MODEL_GATES)), st.floats(0, 1), st.floats(0, 1))
def test_a_gate_passes_on_the_page_as_it_does_in_a_training(name: str, bound: float, limit: float) -> None:
    before = shipped().gates.model[name]
    registry = {**REGISTRY, "channels": {"test": 3}, "versions": {"3": version(0.5, bounds={name: bound})}}
    told = texts(looked(shipped(gates=gates(**{name: limit})), registry))
    gate = MODEL_GATES[name]
    assert (f"gate {name}:" in told) == (limit != before)
    if limit != before and not gate.is_off(limit):
        assert ("would fail" in told) == (not gate.meets(bound, limit))
    assert ("would not be checked" in told) == (limit != before and gate.is_off(limit))


def test_gates_of_data_and_checks_hold_for_the_next_training() -> None:
    own = shipped().gates
    asked = dataclasses.replace(own, data={**own.data, "leaks": 3}, checks={**own.checks, "calls": 9})
    told = texts(looked(shipped(gates=asked)))
    assert "gate of data leaks: 0.0 → 3, at the next training" in told
    assert "check calls: 60 → 9, at the next training" in told


def test_every_gate_has_a_bound_that_is_stored_or_is_known_to_have_none() -> None:
    classes = [{"recall_interval": [0.8, 0.9]}, {"recall_interval": [0.7, 0.9]}]
    metrics = {
        **{"accuracy_low": 0.6, "slice_gap_high": 0.1, "calibration_error": 0.05, "robustness_drop_high": 0.2},
        **{"consistency_low": 0.9, "abstention_coverage_low": 0.5, "abstention_coverage_unseen_low": 0.4},
        **{f"abstention_{name}_low": 0.3 for name in ("kept", "refused_far", "refused_near")},
    }
    bounds = registry_facts.bounds(metrics, {"evaluation": {"classes": classes}, "latency": {"p99": 12}})
    assert bounds["recall"] == 0.7
    assert bounds["abstention_coverage"] == 0.4, "of groups left out, where there are any"
    assert bounds.keys() | registry_facts.UNTOLD == MODEL_GATES.keys()
    assert registry_facts.bounds({}, {}) == {}


def test_the_registry_is_read_without_names_of_people(place: Place, run: Run, publish: Any) -> None:
    for _ in range(3):
        publish()
    assert run("certify", "1", "--decision", "certified", "--note", "looked at").exit_code == 0
    for number, channel in (("1", "prod"), ("2", "test")):
        assert run("promote", number, "--channel", channel, "--why", "because").exit_code == 0
    facts = registry_facts.read(place.target())
    assert facts["channels"] == {"prod": 1, "test": 2}
    assert set(facts["versions"]) == {"1", "2"}, "only those in force"
    assert facts["versions"]["1"]["certificate"]["decision"] == "certified"
    assert facts["versions"]["2"]["certificate"] is None
    assert json.loads(json.dumps(facts)) == facts
    assert not re.search("vera|mia|alice|arn:", json.dumps(facts))


def recorded(models: Any, **stack_outputs: Any) -> StackRecord:
    urn = "urn:pulumi:test::petpark::pulumi:pulumi:Stack::petpark-test"
    stack = RecordedResource(urn=urn, type="pulumi:pulumi:Stack", custom=False, outputs=stack_outputs)
    return StackRecord(project="petpark", stack="test", state="17", commit="0" * 40, resources=(stack,), models=models)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (recorded(None, **outputs()), "the deploy job could not read it"),
        (recorded(REGISTRY), "has no output 'training'"),
        (recorded({"channels": 1}, **outputs()), "an unexpected form"),
        (recorded({**REGISTRY, "model": "dogs"}, **outputs()), "the model would be pets; only dogs was read"),
    ],
)
def test_models_that_cannot_be_told_say_why(record: StackRecord, told: str) -> None:
    assert told in part.from_record(record, ROOT, at=NOW).problem


def test_models_of_a_record_are_marked_as_such() -> None:
    models = part.from_record(recorded(REGISTRY, **outputs()), ROOT, at=NOW)
    assert models.source == "as recorded with state 17"
    assert models.after == "channel test, version 3"
    plan = dataclasses.replace(read_plan("{}", stack="test"), models=models)
    assert "version 3, as now (as recorded with state 17)" in section(plan)
