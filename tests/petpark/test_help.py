"""Rules over all commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from petpark.__main__ import app


def every_command() -> Iterator[tuple[tuple[str, ...], Any]]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        children = getattr(command, "commands", {})
        if not children or path == () or command.invoke_without_command:
            yield path, command
        for name, child in children.items():
            yield from walk(child, (*path, name))

    return walk(get_command(app), ())


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(*found, id=" ".join(found[0]) or "petpark") for found in every_command()]
)
def test_every_command_says_what_it_does_and_gives_an_example_of_itself(path: tuple[str, ...], command: Any) -> None:
    said = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200"})
    assert said.exit_code == 0
    assert command.help
    assert "Example" in said.stdout
    examples = command.epilog.split("[cyan]")[1:]
    assert examples
    if path:
        assert any(all(word in line for word in ("petpark", *path)) for line in examples), examples


def test_all_promised_commands_are_there() -> None:
    there = {" ".join(path) for path, _ in every_command()}
    promised = {
        "doctor",
        "data diff",
        "data exclude",
        "data history",
        "data ingest",
        "data list",
        "data relabel",
        "train",
        "jobs list",
        "search cancel",
        "search list",
        "search resume",
        "search run",
        "search show",
        "models list",
        "models show",
        "models report",
        "models diff",
        "models lineage",
        "models history",
        "models verify",
        "models fsck",
        "models gc",
        "certify",
        "promote",
        "rollback",
        "endpoints status",
        "camera run",
        "camera status",
        "camera events",
        "people policy",
        "prices refresh",
        "experiment start",
        "experiment judge",
        "experiment stop",
        "experiment show",
    }
    assert promised <= there
