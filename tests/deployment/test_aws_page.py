"""docs/aws.md: every rule has a source, and the tests and files that it names exist."""

from __future__ import annotations

import re

import pytest

from tests.pulumi_stand_in import REPOSITORY

_PAGE = (REPOSITORY / "docs" / "aws.md").read_text()
_ROWS = [line for line in _PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| Rule", "|--"))]
_SOURCES = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", _PAGE, re.MULTILINE))
_TESTS = {
    name
    for file in (REPOSITORY / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE)
}
_FILES = {file.name for file in (REPOSITORY / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row.split("|")[1].strip())
def test_a_rule_has_a_source_and_a_test_that_exists(row: str) -> None:
    used = re.findall(r"\]\[([^\]]+)\]", row)
    assert used, "no source"
    assert set(used) <= set(_SOURCES)
    test = row.rstrip(" |").rpartition("|")[2]
    named = re.findall(r"`([^`]+)`", test)
    assert named, "no test"
    for name in named:
        if name.endswith(".py"):
            assert name in _FILES if "/" not in name else (REPOSITORY / name).is_file(), name
        else:
            beginning = name.removesuffix("…")
            known = [one for one in _TESTS if one.startswith(beginning) and (one == name or name != beginning)]
            assert known, name


def test_every_source_is_used_and_is_an_address() -> None:
    assert set(_SOURCES) == set(re.findall(r"\]\[([^\]]+)\]", _PAGE))
    assert all(source.startswith("https://") for source in _SOURCES.values())
