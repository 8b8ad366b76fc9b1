"""Two values of a property are compared as what they are."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petpark.preview.plan import PropertyChange
from petpark.preview.values import TextChange, compare

LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc", max_size=3)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("xyz", min_size=1, max_size=2), inner, max_size=4)
    ),
)


def changes(before: Any, after: Any) -> list[PropertyChange | TextChange]:
    return list(compare(PropertyChange(path="policy", before=json.dumps(before), after=json.dumps(after))))


def test_a_policy_is_compared_statement_by_statement() -> None:
    one, two = {"Effect": "Allow", "Action": "s3:GetObject"}, {"Effect": "Allow", "Action": "s3:PutObject"}
    assert changes({"Statement": [one]}, {"Statement": [two, one]}) == [
        PropertyChange(path="policy.Statement[0]", before=None, after=json.dumps(two))
    ]
    assert changes({"Statement": [one]}, {"Statement": [two]}) == [
        PropertyChange(path="policy.Statement[0].Action", before="s3:GetObject", after="s3:PutObject")
    ]


def test_user_data_is_compared_line_by_line() -> None:
    scripts = [base64.b64encode(f"#!/bin/bash\nset -e\nexport A={value}\nrun\n".encode()).decode() for value in "12"]
    (change,) = compare(PropertyChange(path="userData", before=scripts[0], after=scripts[1]))
    assert isinstance(change, TextChange)
    assert [line for line in change.lines if line.startswith(("+", "-"))] == ["-export A=1", "+export A=2"]


def test_base64_that_is_no_script_stays_as_it_is() -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    change = PropertyChange(path="key", before=key, after=key[::-1])
    assert compare(change) == (change,)


@given(
    st.dictionaries(st.text("xyz", min_size=1, max_size=2), DOCUMENTS),
    st.dictionaries(st.text("xyz", min_size=1, max_size=2), DOCUMENTS),
)
def test_documents_that_differ_differ_somewhere_and_equal_ones_nowhere(before: Any, after: Any) -> None:
    assert changes(before, before) == []
    assert bool(changes(before, after)) == (json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[" * 100_000, "[" * 100_001),
        ("[" * 900 + "1" + "]" * 900, "[" * 900 + "2" + "]" * 900),
        ("a\n" * 2_001, "b\n" * 2_001),
        ("{}" + " " * 200_000, "[]"),
    ],
    ids=["no end", "deep", "many lines", "long"],
)
def test_what_is_too_deep_or_too_long_to_compare_is_two_values(before: str, after: str) -> None:
    change = PropertyChange(path="policy", before=before, after=after)
    assert compare(change) == (change,)


def test_a_list_of_thousands_is_one_value() -> None:
    found = changes({"a": [0] * 201}, {"a": [1] * 200})
    assert [each.path for each in found] == ["policy.a"]
