"""README's "Deploy it", run as it is written: its commands, in their order, against the emulator.

`pulumi` is the stand-in of `tests.pulumi_stand_in`, `aws` the real AWS CLI, and `petpark` acts on an AWS account that
happens to be the emulator. `REPLACED` says what stands for README's placeholders, `LEFT_OUT` what is not run and why.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from rehearsal.emulator import REPOSITORY
from rehearsal.engine import EmbeddedEngine
from rehearsal.engine.provider.binary import find_provider
from rehearsal.environment import Environment
from tests import pulumi_stand_in
from tests.rehearsal import delivery_roles

PASSPHRASE = "correct horse"

LEFT_OUT: Mapping[str, str] = {
    "make deploy-setup": "the environment is there; tests/deployment runs the target",
    'export PATH="$PWD/.venv/bin:$(echo $PWD/.tools/pulumi/*/bin):$PATH"': "every command here has that path",
    "pulumi config set petpark:dns_zone example.org --stack prod": "there is no DNS here; see the line before",
    ".venv/bin/petpark doctor --install-pulumi": "it downloads the CLI, which the stand-in stands for",
}

_STEP = re.compile(r"^\*\*(?P<number>\d+)\. ", re.MULTILINE)
_BLOCK = re.compile(r"^```sh\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
_LINKED = ("__main__.py", "bootstrap.sh", "camera", "imaging", "infra", "monitoring", "petpark", "pyproject.toml",
           "registry", "requirements", "serving", "training")  # fmt: skip
_ANSWERS_WITHIN = 120.0


def steps(readme: str) -> dict[int, list[str]]:
    """The commands of each numbered step, without comments, in README's order."""
    section = readme.partition("\n## Deploy it\n")[2].partition("\n## ")[0]
    starts = list(_STEP.finditer(section))
    ends = [start.start() for start in starts[1:]] + [len(section)]
    return {
        int(start["number"]): [
            line for block in _BLOCK.finditer(section[start.start() : end]) for line in _lines(block["text"])
        ]
        for start, end in zip(starts, ends, strict=True)
    }


def _lines(text: str) -> Iterable[str]:
    for line in text.replace("\\\n", "").splitlines():
        command = re.sub(r"\s+#\s.*", "", line).strip()
        if command:
            yield re.sub(r"\s{2,}", " ", command)


class Deployed(Environment):
    """A rehearsal's machines and people around stacks that a project of README's commands deploys."""

    def __init__(self, directory: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(directory, engine="embedded")
        self.project = self.directory / "checkout"
        self.backend = self.directory / "backend"
        self.backend.mkdir(parents=True)
        self.project.mkdir()
        for name in _LINKED:
            (self.project / name).symlink_to(REPOSITORY / name)
        for file in REPOSITORY.glob("Pulumi*.yaml"):
            content = yaml.safe_load(file.read_text())
            added = settings.get(file.stem.removeprefix("Pulumi."), {})
            if added:
                content["config"] |= added
            (self.project / file.name).write_text(yaml.safe_dump(content))

    def engine(
        self,
        stack: str,
        on_event: Callable[[Any], None] | None = None,
        before_reference: Callable[[str], None] = lambda _stack: None,
    ) -> EmbeddedEngine:
        """The engine over the stand-in's state."""
        made = self._engines[stack] = EmbeddedEngine(
            self.project,
            state_dir=self.backend / ".pulumi" / "embedded",
            config={stack: self._emulator_config()},
            passphrase=PASSPHRASE,
            on_event=on_event,
            before_reference=before_reference,
        )
        return made

    def adopt(self, stack: str) -> None:
        """Make the deployment reachable: people may assume its roles, and clients reach its endpoint."""
        self.engine(stack)
        self._open(stack, lambda: None)


@dataclass
class Steps:
    """README's commands; `heard` is what each printed, `replaced` what stands for a placeholder."""

    environment: Deployed
    photos: Path
    heard: dict[str, str] = field(default_factory=dict[str, str])
    replaced: dict[str, str] = field(default_factory=dict[str, str])
    variables: dict[str, str] = field(default_factory=dict[str, str])
    early: str = ""

    def __post_init__(self) -> None:
        self.sessions = delivery_roles.create(self.environment.emulator)
        directory = self.environment.directory
        self.commands = steps((REPOSITORY / "README.md").read_text())
        pulumi_stand_in.install(directory / "bin")
        self._link_programs(directory / "bin")
        self._write_profiles(directory / "credentials")
        self.replaced |= {
            "pulumi login": f"pulumi login {self.environment.backend.as_uri()}",
            "pulumi config set petpark:host_name photos.example.org --stack prod": (
                "pulumi config set petpark:allow_keys_over_http true --stack prod"
            ),
            "photos/": str(self.photos),
            "@cat.jpg": "@" + str(next(self.photos.rglob("*.jpg"))),
        }

    def run(self, *numbers: int) -> None:
        """Run steps, each to its end; a failed command fails the test with its output."""
        for number in numbers:
            for command in self.commands[number]:
                if command not in LEFT_OUT:
                    self.heard[command] = self._run(command)
                    self._after(command, self.heard[command])

    def by(self, role: str, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a workflow's job does that has taken `role`."""
        return self._shell(command, self.sessions[role])

    def fails(self, command: str) -> str:
        """What a command that must fail prints as its errors."""
        done = self._shell(command)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def _run(self, command: str) -> str:
        if command.startswith("curl "):
            return self._curl(shlex.split(command)[1:])
        done = self._shell(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _session(self, command: str) -> Mapping[str, str]:
        """Stacks are deployed and destroyed in the role that a workflow's job would have, everything else by people."""
        stack = re.fullmatch(r"pulumi (?:up|destroy) --stack (\w+)", command)
        return self.sessions[delivery_roles.deploying(stack[1])] if stack else {}

    def _shell(self, command: str, session: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", "-c", self._rewritten(command)],
            cwd=self.environment.project,
            env={**self._environment(), **(self._session(command) if session is None else session)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def _rewritten(self, command: str) -> str:
        """With the placeholders' values, without confirmation, and with the tests' small model."""
        words = command
        for placeholder, value in self.replaced.items():
            whole = placeholder.startswith("pulumi ")
            words = value if whole and words == placeholder else words if whole else words.replace(placeholder, value)
        if words.startswith(("pulumi up", "pulumi destroy")):
            words += " --yes"
        if " petpark train " in words:
            words += " --recipe two-cores --set epochs=3 --set image_size=32"
        return words

    def _after(self, command: str, said: str) -> None:
        """The README's manual steps with a command's result."""
        if command.startswith("pulumi up --stack "):
            self.environment.adopt(command.split()[-1])
        elif " data ingest " in command:
            self.replaced["3fa9"] = re.findall(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12,}\b", said)[0]
        elif " keys create " in command:
            self.variables["KEY"] = re.findall(r"\S{40,}", said)[0]
        elif command.startswith("pulumi stack output endpoint"):
            assert json.loads(said)["url"].startswith("http")
            self.variables["URL"] = self.environment.endpoints["prod"]  # where that name leads on this machine

    def _curl(self, words: Sequence[str]) -> str:
        """The request as curl sends it; an option that is not here is a mistake, in README or here."""
        options = argparse.ArgumentParser(allow_abbrev=False)
        options.add_argument("--fail", action="store_true", required=True)
        options.add_argument("--retry", type=int, required=True)
        options.add_argument("--retry-all-errors", action="store_true", required=True)
        options.add_argument("--header", action="append", required=True)
        options.add_argument("--data-binary", required=True)
        options.add_argument("url")
        given = options.parse_args([self._filled(word) for word in words])
        headers = dict(header.split(": ", 1) for header in given.header)
        body = Path(given.data_binary.removeprefix("@")).read_bytes()
        deadline = time.monotonic() + _ANSWERS_WITHIN
        while True:
            answer = httpx.post(given.url, headers=headers, content=body, timeout=30, trust_env=False)
            if answer.is_success:
                return answer.text
            assert time.monotonic() < deadline, f"{answer.status_code} {answer.text}"
            time.sleep(0.1)  # curl waits for seconds between its tries

    def _filled(self, word: str) -> str:
        for name, value in self.variables.items():
            word = word.replace(f"${name}", value)
        for placeholder, value in self.replaced.items():
            word = word.replace(placeholder, value)
        return word

    def _environment(self) -> dict[str, str]:
        directory = self.environment.directory
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        return {
            **kept,
            **self.environment.emulator.environment(),
            "HOME": str(directory / "home"),
            "PATH": f"{directory / 'bin'}:/usr/bin:/bin",
            "AWS_SHARED_CREDENTIALS_FILE": str(directory / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "PULUMI_HOME": str(directory / "home" / ".pulumi"),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PETPARK_AWS_PROVIDER": str(find_provider()),  # HOME, where it may be, is another here
            pulumi_stand_in.EMULATOR: self.environment.emulator.url,
            **self.variables,
        }

    def _link_programs(self, folder: Path) -> None:
        programs = {
            "petpark": Path(sys.executable).parent / "petpark",
            "aws": self.environment.emulator.python.parent / "aws",
        }
        for name, program in programs.items():
            assert program.exists(), program
            (folder / name).symlink_to(program)
        (self.environment.directory / "home").mkdir(exist_ok=True)

    def _write_profiles(self, file: Path) -> None:
        """The credentials of the account's administrator, and of each person."""
        profiles = configparser.ConfigParser()
        profiles["default"] = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        for person in self.environment.people:
            profiles[person.name] = {
                "aws_access_key_id": person.access_key_id,
                "aws_secret_access_key": person.secret_access_key,
            }
        with file.open("w") as written:
            profiles.write(written)
