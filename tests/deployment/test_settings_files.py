"""The settings files are as the Pulumi CLI writes them, so that a diff shows nothing but what was changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.pulumi_stand_in import REPOSITORY
from tests.pulumi_stand_in.settings import rewritten, with_values

_FILES = sorted(REPOSITORY.glob("Pulumi.*.yaml"))


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.name)
def test_what_the_cli_writes_leaves_no_other_change(file: Path) -> None:
    assert rewritten(file.read_text()) == file.read_text(), "quote every number and truth value; no blank lines"


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.name)
def test_a_changed_value_is_the_only_changed_line(file: Path) -> None:
    before = file.read_text()
    after = with_values(before, {"petpark:clients": "198.51.100.0/24"})
    changed = [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]]
    assert len(changed) == 1
    assert yaml.safe_load(after)["config"] == yaml.safe_load(before)["config"] | {"petpark:clients": "198.51.100.0/24"}


def test_the_cli_installs_nothing_into_the_environment_of_the_make_targets() -> None:
    runtime = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["runtime"]
    assert runtime == {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}}


def test_what_is_no_text_to_yaml_is_quoted_as_the_cli_does_it() -> None:
    before = "config:\n  a:b: true\n\n  # a note\n  a:c: 1.5 # why\n  a:d: 10.0.0.0/8\n  a:e: {}\n  a:f:\n    g: 1\n"
    after = 'config:\n  a:b: "true"\n  # a note\n  a:c: "1.5" # why\n  a:d: 10.0.0.0/8\n  a:e: {}\n  a:f:\n    g: 1\n'
    assert rewritten(before) == after
