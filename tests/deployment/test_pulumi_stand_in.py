"""The program that stands for the Pulumi CLI in other tests."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.moto_cloud import REGION, MotoCloud
from tests.pulumi_stand_in import EMULATOR, RECORD, calls, install

_PROGRAM = """
import pulumi
import pulumi_aws as aws

pulumi.export("photos", aws.s3.Bucket("photos").bucket)
pulumi.export("word", pulumi.Output.secret("hidden"))
"""


@pytest.fixture
def cloud() -> Iterator[MotoCloud]:
    with MotoCloud() as opened:
        yield opened


class Shell:
    """A folder with a project, and the stand-in on hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "tiny"
        self.project.mkdir()
        (self.project / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n")
        (self.project / "Pulumi.test.yaml").write_text(f"config:\n  aws:region: {REGION} # near\n  tiny:port: 1\n")
        (self.project / "__main__.py").write_text(_PROGRAM)
        (folder / "backend").mkdir()
        self.program = install(folder / "bin")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "AWS_"))},
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
            RECORD: str(folder / "record"),
        }

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *words],
            cwd=self.project,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def done(self, *words: str, **environment: str) -> str:
        ended = self.run(*words, **environment)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_stack_comes_up_in_an_emulator_and_goes_again(shell: Shell, cloud: MotoCloud) -> None:
    shell.environment[EMULATOR] = cloud.url
    shell.done("login", (shell.folder / "backend").as_uri())
    shell.done("stack", "init", "test")
    assert "+ 2 to create" in shell.done("preview"), "the stack itself, and a bucket"
    shell.done("up", "--yes")
    outputs = json.loads(shell.done("stack", "output", "--json"))
    assert cloud.client("s3").list_buckets()["Buckets"][0]["Name"] == outputs["photos"]
    assert outputs["word"] == "[secret]"
    assert json.loads(shell.done("stack", "output", "--json", "--show-secrets"))["word"] == "hidden"
    assert json.loads(shell.done("stack", "ls", "--json"))[0]["resourceCount"] == 2
    assert "still has resources" in shell.run("stack", "rm", "test", "--yes").stderr
    shell.done("destroy", "--yes")
    assert cloud.client("s3").list_buckets()["Buckets"] == []
    shell.done("stack", "rm", "test", "--yes")


def test_what_the_cli_does_not_accept_the_stand_in_does_not_either(shell: Shell) -> None:
    for words in (("up", "--yess"), ("upp",), ("stack", "output", "a", "b"), ("config", "set")):
        ended = shell.run(*words)
        assert ended.returncode != 0, words
        assert ended.stderr.startswith("error: "), words


def test_every_call_is_recorded_with_its_environment(shell: Shell) -> None:
    shell.done("version", COLOUR="blue")
    (call,) = calls(shell.folder / "record")
    assert call.words == ("version",)
    assert call.folder == str(shell.project)
    assert call.environment["COLOUR"] == "blue"


def test_without_a_passphrase_or_with_another_one_there_is_no_stack(shell: Shell) -> None:
    shell.done("login", (shell.folder / "backend").as_uri())
    del shell.environment["PULUMI_CONFIG_PASSPHRASE"]
    assert "passphrase must be set" in shell.run("stack", "init", "test").stderr
    shell.done("stack", "init", "test", PULUMI_CONFIG_PASSPHRASE="one")
    assert "incorrect passphrase" in shell.run("up", "--yes", PULUMI_CONFIG_PASSPHRASE="another").stderr
    shell.done("up", "--yes", PULUMI_CONFIG_PASSPHRASE="one")


def test_a_setting_is_changed_and_every_other_line_stays(shell: Shell) -> None:
    shell.done("login", (shell.folder / "backend").as_uri())
    shell.done("stack", "select", "test", "--create")
    shell.done("config", "set", "aws:region", "eu-central-1")
    shell.done("config", "set", "port", "2")
    text = (shell.project / "Pulumi.test.yaml").read_text()
    assert text.startswith('config:\n  aws:region: eu-central-1 # near\n  tiny:port: "2"\nencryptionsalt: v1:')
    assert shell.done("config", "get", "tiny:port") == "2\n"
