"""Every command in README.md could be typed as it is written, up to where it would need the network or an account."""

from __future__ import annotations

import pytest

from tests.deployment.readme import CommandRefused, check, commands
from tests.pulumi_stand_in import REPOSITORY

_COMMANDS = list(commands((REPOSITORY / "README.md").read_text()))


@pytest.mark.parametrize("words", [pytest.param(words, id=" ".join(words)) for words in _COMMANDS])
def test_a_command_in_the_readme_can_be_typed(words: list[str]) -> None:
    check(words)


def test_the_readme_has_commands_of_the_main_kinds() -> None:
    assert {"make", "petpark", "pulumi"} <= {words[0] for words in _COMMANDS}


@pytest.mark.parametrize(
    "line",
    [
        "make no-such-target",
        "petpark promte 12",
        "petpark promote 12 --chanel test",
        "petpark promote",
        "petpark data",
        "petpark --targt rehearsal doctor",
        "petpark --target moon doctor",
        "pulumi upp",
        "pulumi up --stak test",
        "pulumi config set",
        "uv snyc",
        "uv sync --no-such-option",
        "aws iam creat-role",
        "aws iam get-role --rolename x",
        "git frobnicate",
        "terraform init",
    ],
)
def test_a_command_that_could_not_run_is_refused(line: str) -> None:
    (words,) = commands(f"```sh\n{line}\n```\n")
    with pytest.raises(CommandRefused):
        check(words)


def test_commands_are_read_from_blocks_and_from_text() -> None:
    page = """Type `pulumi login` or `Pulumi.yaml`, then:

```sh
export A=1; petpark doctor # and look
B=2 make demo \\
  KEEP=1 && pulumi up --stack "test" > log
```
"""
    assert list(commands(page)) == [
        ["export", "A=1"],
        ["petpark", "doctor"],
        ["make", "demo", "KEEP=1"],
        ["pulumi", "up", "--stack", "test"],
        ["pulumi", "login"],
    ]
