"""The frame: global options, errors as sentences, exit codes."""

from __future__ import annotations

import errno
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from petpark.__main__ import app
from petpark.app import hoist
from petpark.errors import StackNotDeployed
from petpark.failures.aws_errors import REFUSALS
from petpark.failures.failure import describe
from registry.errors import StoreRefused, StoreUnavailable, VersionMissing

words = st.text(st.characters(categories=["Ll", "Nd"]), min_size=1, max_size=8)
global_options = st.sampled_from(
    [["--json"], ["--target", "aws"], ["--stack=prod"], ["--target=rehearsal"], ["--stack", "x"]]
)


@given(st.lists(words), st.lists(words), global_options)
def test_a_global_option_means_the_same_wherever_it_stands(
    before: list[str], after: list[str], option: list[str]
) -> None:
    assert hoist([*before, *option, *after]) == [*option, *before, *after]


@given(st.lists(words), st.lists(st.one_of(words, st.just("--json"))))
def test_nothing_behind_a_double_dash_is_an_option(before: list[str], after: list[str]) -> None:
    assert hoist([*before, "--", *after]) == [*before, "--", *after]


def failing(error: Exception, *options: str) -> Result:
    """`petpark models list` where the target cannot be opened because of `error`."""

    def opener(_kind: str, _stack: str) -> Any:
        raise error

    return CliRunner().invoke(app, ["models", "list", *options], obj=opener)


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "because"}}, "PutObject")


FAILURES = [
    (VersionMissing("pets", 7), 1, "VersionMissing"),
    (StoreUnavailable("read", "no answer"), 2, "StoreUnavailable"),
    (StoreRefused("read", "403"), 2, "StoreRefused"),
    (StackNotDeployed("Stack x is not deployed.", next_step="pulumi up"), 2, "StackNotDeployed"),
    (client_error("AccessDenied"), 2, "AccessDenied"),
    (client_error("ExpiredToken"), 2, "CredentialsExpired"),
    (client_error("Whatever"), 2, "RequestRefused"),
    *((client_error(code), 2, known.outcome) for code, known in REFUSALS.items()),
    (NoCredentialsError(), 2, "CredentialsMissing"),
    (OSError(errno.ENOSPC, "No space left on device", "/tmp/cache"), 2, "DiskFull"),
    (OSError(errno.ENOSPC, "No space left on device"), 2, "DiskFull"),
    (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), 2, "Unreachable"),
]


@pytest.mark.parametrize(("error", "code", "outcome"), FAILURES, ids=[outcome for *_, outcome in FAILURES])
def test_a_known_error_ends_in_a_sentence_and_its_exit_code(error: Exception, code: int, outcome: str) -> None:
    said = failing(error)
    assert said.exit_code == code
    assert said.stdout == ""
    assert said.stderr.startswith(f"{outcome}: ")
    assert "\nNext: " in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "create-service-linked-role"),
        ("MaxSpotInstanceCountExceeded", "L-3819A6DF"),
        ("VcpuLimitExceeded", "L-DB2E81BA"),
        ("PendingVerification", "wait"),
        ("IdempotentParameterMismatch", "petpark search resume"),
        ("InvalidInstanceID.NotFound", "petpark jobs list"),
        ("AnyOtherCode", "petpark doctor --account"),
    ],
)
def test_what_aws_refuses_is_told_with_the_step_that_gets_it(code: str, word: str) -> None:
    said = failing(client_error(code))
    assert word in said.stderr.partition("\nNext: ")[2]
    assert code in said.stderr, "AWS's own words are there, too"


@pytest.mark.parametrize(("error", "code", "outcome"), FAILURES, ids=[outcome for *_, outcome in FAILURES])
def test_json_tells_the_same_about_an_error(error: Exception, code: int, outcome: str) -> None:
    said = failing(error, "--json")
    told = json.loads(said.stdout)["error"]
    assert said.exit_code == code
    assert said.stderr == ""
    assert told["outcome"] == outcome
    assert told["message"] in failing(error).stderr
    assert told["next"]


def test_an_error_that_petpark_does_not_know_is_called_a_fault_and_can_be_traced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert describe(ZeroDivisionError("by zero")) is None
    said = failing(ZeroDivisionError("by zero"))
    assert said.exit_code == 2
    assert "Unexpected: ZeroDivisionError: by zero" in said.stderr
    assert "Traceback" not in said.stderr
    monkeypatch.setenv("PETPARK_TRACEBACK", "1")
    assert isinstance(failing(ZeroDivisionError("by zero")).exception, ZeroDivisionError)


@pytest.mark.parametrize(
    "bad",
    [["models", "show", "seven"], ["models", "nothing"], ["--target", "moon", "models", "list"], ["promote", "1"]],
)
def test_bad_usage_ends_with_2_for_people_and_for_programs(bad: list[str]) -> None:
    assert CliRunner().invoke(app, bad).exit_code == 2
    said = CliRunner().invoke(app, [*bad, "--json"])
    assert said.exit_code == 2
    assert json.loads(said.stdout)["error"]["outcome"] == "Usage"


def test_the_target_and_stack_that_were_asked_for_are_opened() -> None:
    asked: list[tuple[str, str]] = []

    def opener(kind: str, stack: str) -> Any:
        asked.append((kind, stack))
        raise StackNotDeployed("no", next_step="no")

    CliRunner().invoke(app, ["models", "list", "--stack", "prod", "--target", "rehearsal"], obj=opener)
    CliRunner().invoke(app, ["models", "list"], obj=opener, env={"PETPARK_TARGET": "rehearsal", "PETPARK_STACK": "x"})
    CliRunner().invoke(app, ["models", "list"], obj=opener)
    assert asked == [("rehearsal", "prod"), ("rehearsal", "x"), ("aws", "test")]
