"""What a caller is told about limits is what holds, in the OpenAPI document, on `/docs` and on the design page."""

import re
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path

import pytest

from serving.pages.limits import described
from serving.pages.openapi import document
from serving.settings import HEADER_LINES, Limits

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/design/limits.md"
OWN = {"probe_connections", "drain_seconds", "drain_notice_seconds", "end_seconds"}
"""Limits that no caller meets."""
OF_ADDRESSES = {"peer_connections", "peer_held_bytes"}
OF_GRPC = {"peer_messages", "peer_calls", "calls", "metadata_bytes"}


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_callers_are_told_every_limit_that_they_meet(name):
    usual = Limits()
    other = replace(usual, **{name: getattr(usual, name) + 1})
    output = {
        (addresses, grpc): described(usual, addresses=addresses, grpc=grpc)
        != described(other, addresses=addresses, grpc=grpc)
        for addresses in (True, False)
        for grpc in (True, False)
    }
    assert output[True, True] is (name not in OWN)
    assert output[False, True] is (name not in OWN | OF_ADDRESSES)
    assert output[True, False] is (name not in OWN | OF_GRPC)


def test_every_told_limit_says_what_is_answered_beyond_it():
    rows = described(Limits(), grpc=True)
    assert len({row["limit"] for row in rows}) == len(rows)
    assert all(isinstance(text, str) and text for row in rows for text in row.values())
    values = {row["limit"]: (row["value"], row["beyond"]) for row in rows}
    assert values["answer"] == ("within 30 s", "503 `overloaded` with Retry-After")
    assert values["API key"][1] == "429 `too-many-requests` with Retry-After"
    assert document(Limits(), grpc_port=1)["info"]["x-limits"] == rows  # pyright: ignore[reportIndexIssue]


# --- the design page -------------------------------------------------------------------------------------------------


def rows() -> list[list[str]]:
    """Each limit of the page: its name, its value, what happens beyond it, and its test."""
    items = re.findall(r"^- (\*\*.+(?:\n  .+)*)", PAGE.read_text(), re.MULTILINE)
    limit = re.compile(r"\*\*(.+)\*\*: (.+?)\. Beyond it: (.+)\. Test: (.+)\.")
    return [list(found.groups()) for item in items if (found := limit.fullmatch(" ".join(item.split())))]


def names_in(file: str) -> set[str]:
    """The tests of one file, wherever it is below `tests/serving`, else below `tests`."""
    (path,) = [*(ROOT / "tests/serving").rglob(file)] or [*(ROOT / "tests").rglob(file)]
    return set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))


def test_every_row_of_the_page_names_a_test_and_every_test_of_limits_has_a_row():
    named: set[str] = set()
    assert len(rows()) > 30
    for row in rows():
        assert len(row) == 4, row
        for path, name in re.findall(r"(?:`(\w+\.py)`: )?`(test_\w+)`", row[3]):
            assert name in names_in(path or "test_limits.py"), row
            named.add(name)
        assert "`test_" in row[3], row
    assert names_in("test_limits.py") <= named


def size(value: str) -> int:
    """`64 KiB` in bytes; any other unit is the setting's own."""
    number, _, unit = value.replace(",", "").partition(" ")
    return int(number) * {"KiB": 1024, "MiB": 1024**2}.get(unit, 1)


def test_every_value_of_the_page_is_the_one_in_force():
    output: set[str] = set()
    for row in rows():
        text = " ".join(row[1].split())
        for value, name in re.findall(r"([\d,]+(?: (?:[KM]iB|s))?) \(`(?:Limits\.)?(\w+)`", text):
            assert size(value) == getattr(Limits(), name), row
            output.add(name)
    assert output == {field.name for field in fields(Limits)}
    assert f"{HEADER_LINES} lines" in PAGE.read_text()


def test_every_value_that_names_a_constant_is_that_constant():
    found = re.findall(r"([\d,]+(?: \w+)?)\s+\(`((?:\w+\.)+)([A-Z_]+)`", PAGE.read_text())
    assert len(found) > 10
    for value, module, name in found:
        assert size(value) == getattr(import_module(module.removesuffix(".")), name), name
