"""`petpark state export`: what the deploy job records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from petpark.errors import RecordIncomplete
from petpark.preview.recorded import data_sources
from petpark.preview.recorded.record import StackRecord
from rehearsal.engine.translation.type_table import DATA_SOURCES
from tests.petpark.conftest import Place, Run

STACK = "urn:pulumi:test::pets::pulumi:pulumi:Stack::pets-test"
PROGRAM = """
import pulumi, pulumi_aws as aws
account = aws.get_caller_identity_output().account_id
pulumi.export("account", account)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: pets\nruntime: python\n")
    (tmp_path / "Pulumi.test.yaml").write_text("config:\n  aws:region: eu-west-1\n")
    (tmp_path / "__main__.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def state(**facts: Any) -> str:
    stack = {"urn": STACK, "type": "pulumi:pulumi:Stack", "custom": False}
    gone = {"urn": STACK.replace("Stack::pets", "X::gone"), "type": "aws:sqs/queue:Queue", "custom": True, "id": "q"}
    return json.dumps({"version": 3, "deployment": {"resources": [stack, gone]}, **facts})


@pytest.mark.slow  # starts a process
@pytest.mark.usefixtures("cloud")
def test_a_record_has_the_state_the_answers_and_the_registry(
    project: Path, run: Run, place: Place, publish: Any
) -> None:
    publish()
    assert run("promote", "1", "--channel", "test", "--why", "because").exit_code == 0
    (project / "state.json").write_text(state())
    words = ("state", "export", "--from", "state.json", "--out", "record.json", "--json")
    done = run(*words)
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    text = (project / "record.json").read_text()
    record = StackRecord.from_text(text)
    assert facts == {
        **{"file": "record.json", "state": record.state, "commit": "unknown", "resources": 2, "changed": 1}
    }
    assert record.state.startswith("sha256-")
    (answer,) = record.answers
    assert (answer.token, answer.result["accountId"]) == (
        "aws:index/getCallerIdentity:getCallerIdentity",
        "123456789012",
    )
    assert "arn" not in answer.result, "who exports is nobody's business"
    assert record.models is not None
    assert record.models["channels"] == {"test": 1}
    assert run(*words).exit_code == 0
    assert (project / "record.json").read_text() == text, "the same state gives the same bytes"


@pytest.mark.slow  # starts a process
@pytest.mark.usefixtures("cloud")
def test_a_program_that_fails_is_not_recorded(project: Path, run: Run) -> None:
    (project / "state.json").write_text(state())
    (project / "__main__.py").write_text("raise ValueError('no such setting')\n")
    done = run("state", "export", "--from", "state.json", "--out", "record.json")
    assert done.exit_code == 1
    assert "no such setting" in done.output
    assert not (project / "record.json").exists()


def test_a_stack_without_resources_or_a_state_that_is_none_is_refused(project: Path, run: Run) -> None:
    for text in ('{"version": 3, "deployment": {"resources": []}}', "{}"):
        (project / "state.json").write_text(text)
        assert run("state", "export", "--from", "state.json", "--out", "record.json").exit_code == 2
    (project / "state.json").write_text(state())
    other = run("state", "export", "--stack", "prod", "--from", "state.json", "--out", "record.json")
    assert "This is the state of stack test, not of prod" in " ".join(other.output.split())
    assert run("state", "export", "--from", "missing.json", "--out", "record.json").exit_code == 2
    assert run("state", "export", "--from", "state.json", "--out", "no/record.json").exit_code == 2


NAMED = {"urn": STACK, "type": "pulumi:pulumi:Stack", "custom": False}


@pytest.mark.parametrize(
    "resources",
    [
        [{**NAMED, "urn": "x"}],
        [{**NAMED, "urn": "urn:pulumi:test"}],
        [{**NAMED, "urn": 5}],
        [{**NAMED, "urn": ["x"]}],
        [NAMED, NAMED],
    ],
)
def test_a_state_with_a_resource_that_has_no_name_of_its_own_is_refused(
    project: Path, run: Run, resources: list[Any]
) -> None:
    (project / "state.json").write_text(json.dumps({"version": 3, "deployment": {"resources": resources}}))
    said = run("state", "export", "--from", "state.json", "--out", "record.json")
    assert (said.exit_code, said.stderr.startswith("RecordUnreadable: ")) == (2, True)


def client(service: str) -> Any:
    return boto3.client(service, region_name="eu-west-1")  # pyright: ignore[reportCallIssue, reportArgumentType]


@pytest.mark.usefixtures("cloud")
def test_data_sources_are_answered_as_the_provider_does() -> None:
    parameter = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    found = data_sources.answer(client, "aws:ssm/getParameter:getParameter", {"name": parameter})
    assert found["insecureValue"].startswith("ami-")
    assert data_sources.answer(client, "aws:index/getPartition:getPartition", {})["partition"] == "aws"
    zone = client("route53").create_hosted_zone(Name="park.example", CallerReference="1")["HostedZone"]["Id"]
    asked = {"name": "park.example", "privateZone": False}
    assert f"/hostedzone/{data_sources.answer(client, 'aws:route53/getZone:getZone', asked)['zoneId']}" == zone


@pytest.mark.usefixtures("cloud")
def test_what_cannot_be_recorded_is_refused() -> None:
    client("ssm").put_parameter(Name="secret", Value="hidden", Type="SecureString")
    for token, arguments, told in (
        ("aws:ssm/getParameter:getParameter", {"name": "secret"}, "is a secret"),
        ("aws:route53/getZone:getZone", {"name": "none.example"}, "0 hosted zones"),
        ("aws:ec2/getAmi:getAmi", {}, "cannot record"),
    ):
        with pytest.raises(RecordIncomplete, match=told) as refused:
            data_sources.answer(client, token, arguments)
        assert "hidden" not in str(refused.value)


def test_all_data_sources_of_the_embedded_engine_can_be_recorded() -> None:
    assert DATA_SOURCES.keys() == data_sources.TOKENS
