"""docs/aws.md: every rule has a source, and the tests and files that it names exist."""

from __future__ import annotations

import re

import pytest

from tests.pulumi_stand_in import REPOSITORY

_PAGE = (REPOSITORY / "docs" / "aws.md").read_text()
_RULES = [" ".join(rule.split()) for rule in re.findall(r"^- (.+(?:\n  .+)*)", _PAGE, re.MULTILINE)]
_SOURCES = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", _PAGE, re.MULTILINE))
_TESTS = {
    name
    for file in (REPOSITORY / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", file.read_text(), re.MULTILINE)
}
_FILES = {file.name for file in (REPOSITORY / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule.split(". ")[0])
def test_a_rule_has_a_source_and_a_test_that_exists(rule: str) -> None:
    used = re.findall(r"\]\[([^\]]+)\]", rule)
    assert used, "no source"
    assert set(used) <= set(_SOURCES)
    test = rule.rpartition(" Test: ")[2]
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
