"""Pipelines that wait for a certification, and the decisions that wake them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from registry.layout.workspace import certification_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import Place
from tests.petpark.jobs.states import StepFunctions
from tests.petpark.pipeline.conftest import Command

# the decision


@pytest.fixture
def waiting_token(place: Place, states: StepFunctions, publish: Callable[..., Version]) -> str:
    """A pipeline waits for a decision about version 1; its token."""
    version = publish()
    place.buckets["workspace"] = MemoryStore()
    request_certification(place, "p-1", version, "token-1")
    states.tokens["token-1"] = {}
    return "token-1"


def request_certification(place: Place, execution: str, version: Version, token: str) -> None:
    body = {"token": token, "execution": execution, "version": version.number, "digest": version.digest}
    place.buckets["workspace"].create(certification_key(execution), json.dumps(body).encode())


@pytest.mark.parametrize("decision", ["certified", "refused"])
def test_a_decision_wakes_the_pipeline_that_waits(
    run: Command, states: StepFunctions, waiting_token: str, decision: str
) -> None:
    token = states.tokens[waiting_token]
    result = run("certify", "1", "--decision", decision, "--note", "looked", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(token["output"])["decision"] == decision
    assert json.loads(token["output"])["by"].endswith("/vera")
    assert json.loads(result.stdout)["pipelines"] == [{"execution": "p-1", "waited": True, "problem": ""}]


def test_a_revocation_and_a_decision_about_another_version_wake_nobody(
    run: Command, states: StepFunctions, waiting_token: str, publish: Callable[..., Version]
) -> None:
    publish()
    assert run("certify", "1", "--decision", "revoked", "--note", "x").exit_code == 0
    assert run("certify", "2", "--decision", "certified", "--note", "x").exit_code == 0
    assert states.tokens == {waiting_token: {}}


def test_a_pipeline_that_is_over_is_named_and_the_decision_is_signed(
    run: Command, states: StepFunctions, waiting_token: str
) -> None:
    states.tokens.clear()
    result = run("certify", "1", "--decision", "certified", "--note", "looked")
    assert result.exit_code == 0
    assert "has ended without this decision; to continue: petpark pipeline retry p-1" in result.stdout


def test_a_certifier_who_may_not_answer_is_told_what_to_do(
    run: Command, states: StepFunctions, waiting_token: str
) -> None:
    states.denied.add("SendTaskSuccess")
    result = run("certify", "1", "--decision", "certified", "--note", "looked")
    assert result.exit_code == 0
    assert "the certifier role may not answer pipeline p-1" in result.stdout


def test_only_pipelines_that_wait_are_told_of_where_some_do(
    run: Command, place: Place, states: StepFunctions, waiting_token: str
) -> None:
    request_certification(place, "p-0", place.catalog.version(1), "old")
    result = json.loads(run("certify", "1", "--decision", "certified", "--note", "x", "--json").stdout)
    assert [each["execution"] for each in result["pipelines"]] == ["p-1"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"digest": 1}', b"\xff"])
def test_a_question_that_is_none_keeps_no_decision_from_its_pipeline(
    run: Command, place: Place, states: StepFunctions, waiting_token: str, body: bytes
) -> None:
    place.buckets["workspace"].create(certification_key("p-0"), body)
    token = states.tokens[waiting_token]
    result = run("certify", "1", "--decision", "certified", "--note", "x")
    assert result.exit_code == 0, result.output
    assert json.loads(token["output"])["decision"] == "certified"
