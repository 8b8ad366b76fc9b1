"""Where a target's facts come from."""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from petpark.__main__ import app
from petpark.app import TargetKind
from petpark.errors import PulumiFailed, PulumiMissing, RehearsalNotRunning, StackNotDeployed, StackOutdated
from petpark.targets import pulumi_cli
from petpark.targets.stacks import parse
from petpark.targets.target import PROVIDERS, Target, open_aws
from registry import identity
from registry.channel_policy import ChannelPolicy
from rehearsal.credentials import Person, PersonUnknown, read_people, write_people
from rehearsal.target import open_rehearsal, rehearsal_target
from tests.petpark.conftest import outputs


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with neither Pulumi nor anything of a home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(pulumi_cli, "TOOLS", tmp_path / ".tools")
    monkeypatch.delenv("PETPARK_PERSON", raising=False)
    return tmp_path


def test_each_value_of_the_option_target_has_a_function_that_provides_it() -> None:
    assert set(PROVIDERS) == set(TargetKind)
    for path in PROVIDERS.values():
        module, _, function = path.partition(":")
        assert callable(getattr(import_module(module), function))


ANA = Person(name="ana", role="publisher", access_key_id="AKIAANA", secret_access_key="of ana")
VERA = Person(name="vera", role="certifier", access_key_id="AKIAVERA", secret_access_key="of vera")


def summary(**changes: Any) -> dict[str, Any]:
    return {
        "stacks": {"test": outputs("test")},
        "endpoints": {"test": "http://127.0.0.1:18080"},
        "emulator": {"url": "http://127.0.0.1:4566", "region": "eu-west-1"},
        **changes,
    }


def write_summary(folder: Path, text: str) -> Path:
    (folder / ".rehearsal").mkdir()
    (folder / ".rehearsal" / "summary.json").write_text(text)
    people = folder / ".rehearsal" / "people.json"
    write_people(people, [ANA, VERA])
    return people


def key_of(session: boto3.Session) -> str:
    credentials = session.get_credentials()
    assert credentials is not None
    return str(credentials.access_key)


def pulumi(folder: Path, script: str) -> None:
    """A `pulumi` that is found on the PATH, in a project with two stacks."""
    for name in ("Pulumi.yaml", "Pulumi.test.yaml", "Pulumi.prod.yaml"):
        (folder / name).touch()
    program = folder / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    os.environ["PATH"] = f"{program.parent}:/bin:/usr/bin"


def test_a_rehearsal_is_found_by_what_it_wrote(here: Path) -> None:
    write_summary(here, json.dumps(summary()))
    target = open_rehearsal("test")
    assert target.aws_url == "http://127.0.0.1:4566"
    assert target.endpoint_urls["test"] == "http://127.0.0.1:18080"
    assert target.client("s3").meta.endpoint_url == "http://127.0.0.1:4566"
    assert target.instance_url("i-1", "10.20.1.7", 8080) == "http://127.20.1.7:8080"
    (here / ".rehearsal" / "instances" / "i-1").mkdir(parents=True)
    (here / ".rehearsal" / "instances" / "i-1" / "address").write_text("127.21.1.7\n")
    assert target.instance_url("i-1", "10.20.1.7", 8080) == "http://127.21.1.7:8080"


def test_without_a_rehearsal_the_sentence_says_how_to_start_one(here: Path) -> None:
    said = CliRunner().invoke(app, ["--target", "rehearsal", "models", "list"])
    assert said.exit_code == 2
    assert said.stderr.startswith("RehearsalNotRunning: No rehearsal is running here")
    assert "petpark rehearse --keep" in said.stderr


@pytest.mark.parametrize(
    ("told", "recipe"), [({"recipe": "transfer"}, "transfer"), ({"recipe": ""}, "two-cores"), ({}, "two-cores")]
)
def test_a_rehearsal_trains_as_its_photos_were_trained(here: Path, told: dict[str, str], recipe: str) -> None:
    write_summary(here, json.dumps(summary(**told)))
    assert open_rehearsal("test").recipe == recipe


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"stacks": {}, "endpoints": {}}', "null"])
def test_a_summary_that_is_none_is_called_so(here: Path, text: str) -> None:
    write_summary(here, text)
    with pytest.raises(RehearsalNotRunning, match="does not describe a rehearsal"):
        open_rehearsal("test")


def test_a_rehearsal_without_the_stack_names_those_it_has(here: Path) -> None:
    write_summary(here, json.dumps(summary()))
    with pytest.raises(StackNotDeployed, match="no stack prod; it has test"):
        open_rehearsal("prod")


def test_each_role_of_a_rehearsal_is_played_by_its_own_person(here: Path) -> None:
    write_summary(here, json.dumps(summary()))
    target = open_rehearsal("test")
    assert {role: key_of(player) for role, player in target.role_sessions.items()} == {
        "publisher": ANA.access_key_id,
        "certifier": VERA.access_key_id,
    }
    assert key_of(target.session) == ANA.access_key_id, "what needs no role is the publisher's: training"


def test_one_person_can_play_every_role_of_a_rehearsal(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_summary(here, json.dumps(summary()))
    monkeypatch.setenv("PETPARK_PERSON", "vera")
    target = open_rehearsal("test")
    assert {key_of(session) for session in (target.session, *target.role_sessions.values())} == {VERA.access_key_id}


def test_an_unknown_person_is_named_together_with_the_known_ones(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_summary(here, json.dumps(summary()))
    monkeypatch.setenv("PETPARK_PERSON", "eve")
    with pytest.raises(PersonUnknown, match=r"no person eve .* ana \(publisher\), vera \(certifier\)"):
        open_rehearsal("test")


def test_a_rehearsal_that_ended_has_no_people_and_the_error_says_so(here: Path) -> None:
    write_summary(here, json.dumps(summary())).unlink()
    with pytest.raises(RehearsalNotRunning, match=r"has ended: there is no people\.json"):
        open_rehearsal("test")


@pytest.mark.parametrize("text", ["", "[", "{}x", '[{"name": "ana"}]', '["ana"]', "3"])
def test_people_that_are_none_are_called_so_without_showing_a_key(here: Path, text: str) -> None:
    write_summary(here, json.dumps(summary())).write_text(text)
    with pytest.raises(RehearsalNotRunning, match="does not name the people"):
        open_rehearsal("test")


def test_keys_are_kept_for_this_user_alone_and_never_shown(here: Path) -> None:
    path = write_summary(here, json.dumps(summary()))
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_people(path) == (ANA, VERA)
    assert "of vera" in path.read_text()
    assert "of vera" not in repr(read_people(path))


@pytest.mark.parametrize("missing", ["signing_key", "channels", "training", "endpoint"])
def test_a_stack_of_another_age_is_named_with_what_it_lacks(missing: str) -> None:
    old = {name: value for name, value in outputs().items() if name != missing}
    with pytest.raises(StackOutdated, match=missing):
        parse("test", old)


def test_what_a_channel_asks_for_is_read_from_the_outputs() -> None:
    assert parse("test", outputs()).channels == {
        "test": ChannelPolicy(certificate=False, two_people=False, gates=False),
        "prod": ChannelPolicy(certificate=True, two_people=True),
    }


def test_a_channel_that_asks_for_what_is_not_known_makes_a_stack_of_another_age() -> None:
    other = {"channels": {"prod": {"certificate": True, "moon": "full"}}}
    with pytest.raises(StackOutdated, match="channels"):
        parse("test", outputs() | other)


@pytest.mark.slow  # starts a process
def test_the_account_is_read_by_the_pulumi_cli(here: Path) -> None:
    pulumi(
        here,
        f"test \"$*\" = '--non-interactive stack output --json --stack prod' && echo '{json.dumps(outputs('prod'))}'",
    )
    target = open_aws("prod")
    assert target.outputs.endpoint.port == 8080
    assert target.stacks == ("test", "prod")
    assert target.aws_url is None
    assert target.instance_url("i-1", "10.0.0.7", 8080) == "http://10.0.0.7:8080"


def test_without_the_pulumi_cli_the_sentence_says_how_to_get_it(here: Path) -> None:
    (here / "Pulumi.yaml").touch()
    with pytest.raises(PulumiMissing) as refused:
        open_aws("test")
    assert "petpark doctor --install-pulumi" in refused.value.next_step


def test_outside_of_the_checkout_the_account_cannot_be_read(here: Path) -> None:
    with pytest.raises(PulumiFailed, match="not in a Pulumi project"):
        open_aws("test")


@pytest.mark.slow  # starts a process
@pytest.mark.parametrize("script", ["echo \"error: no stack named 'test' found\" >&2; exit 255", "echo '{}'"])
def test_a_stack_that_is_not_deployed_is_called_so(here: Path, script: str) -> None:
    pulumi(here, script)
    with pytest.raises(StackNotDeployed, match="Stack test is not deployed"):
        open_aws("test")


@pytest.mark.slow  # starts a process
def test_what_pulumi_complains_about_is_passed_on(here: Path) -> None:
    pulumi(here, "echo 'error: PULUMI_ACCESS_TOKEN must be set' >&2; exit 255")
    with pytest.raises(PulumiFailed, match="PULUMI_ACCESS_TOKEN"):
        open_aws("test")


def test_pulumi_is_found_where_its_installer_puts_it_the_newest_first(here: Path) -> None:
    assert pulumi_cli.find() is None
    for version in ("3.9.0", "3.100.1", "3.99.0"):
        program = here / "home" / ".pulumi" / "versions" / version / "bin" / "pulumi"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    found = pulumi_cli.find()
    assert found is not None
    assert "3.100.1" in found.parts
    fetched = here / ".tools" / "pulumi" / "3.99.0" / "bin" / "pulumi"
    fetched.parent.mkdir(parents=True)
    fetched.touch(mode=0o755)
    assert pulumi_cli.find() == fetched


def in_the_cloud(*people: Person, only: str | None = None) -> Target:
    url = "https://sts.eu-west-1.amazonaws.com"
    return rehearsal_target(parse("test", outputs()), {}, url, ("test",), people=people, only=only)


def hire(name: str, role: str) -> Person:
    iam = boto3.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Person(name=name, role=role, access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])


@pytest.mark.usefixtures("cloud")
def test_acting_in_a_role_carries_the_persons_name_into_the_session() -> None:
    target = in_the_cloud()
    by = target.identity(role="promoter")
    assert ":assumed-role/promoter/" in by
    assert identity.person(target.identity()) == identity.person(by)


@pytest.mark.usefixtures("cloud")
def test_everyone_in_a_rehearsal_signs_with_their_own_name() -> None:
    people = hire("ana", "publisher"), hire("vera", "certifier")
    target = in_the_cloud(*people)
    assert target.identity().endswith(":user/ana")
    assert target.identity(role="publisher").endswith(":assumed-role/publisher/ana")
    assert target.identity(role="certifier").endswith(":assumed-role/certifier/vera")
    alone = in_the_cloud(*people, only="vera")
    assert alone.identity(role="publisher").endswith(":assumed-role/publisher/vera")


def test_a_role_that_the_stack_does_not_have_is_named() -> None:
    target = rehearsal_target(parse("test", outputs()), {}, "http://127.0.0.1:1", ("test",))
    with pytest.raises(StackOutdated, match="no role stranger"):
        target.client("s3", role="stranger")
