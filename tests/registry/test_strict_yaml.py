"""A settings file in which a key is there twice is refused with its line: one of the two values would be ignored."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from registry.strict_yaml import place, read_yaml


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("config:\n  a: 1\n  b: 2\n  a: 1\n", "line 4, column 3: 'a' is there twice, first in line 2; keep one"),
        ('a: 1\nb: {c: 1, "c": 2}\n', "line 2, column 11: 'c' is there twice, first in line 2; keep one"),
        ("- a: 1\n  a: 2\n", "line 2, column 3: 'a' is there twice, first in line 1; keep one"),
        ("a: [\n", "line 2, column 1: expected the node content, but found '<stream end>'"),
    ],
)
def test_a_second_value_is_refused_with_its_line(text, where):
    with pytest.raises(yaml.YAMLError) as refused:
        read_yaml(text)
    assert place(refused.value) == where


def test_what_a_merge_brings_may_be_overridden():
    text = "x: {z: {<<: &b {a: 1, b: 2}, a: 3}}\ny: {<<: *b, b: 4}\n"
    assert read_yaml(text) == yaml.safe_load(text) == {"x": {"z": {"a": 3, "b": 2}}, "y": {"a": 1, "b": 4}}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab1 :", max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_every_other_file_is_read_as_pyyaml_reads_it(value):
    text = yaml.safe_dump(value)
    assert read_yaml(text) == yaml.safe_load(text)
