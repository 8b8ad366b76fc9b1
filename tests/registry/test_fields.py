"""Each reader of a stored object takes one kind of value, once, and refuses every other by the field's name."""

import re

import pytest

from registry.encoding import Fields

MISSING = object()
SAMPLES = [
    MISSING, None, True, False, 0, 1, -1, 2, 0.5, "", "a", "ab", [], [0], [1, 2], [-1], [True], [0.5], ["a"], ["a", 1],
    [{}], [{"a": 1}], [{}, 1], {}, {"a": "b"}, {"a": 1}, {"a": 0.5}, {"a": True}, {"a": None},
]  # fmt: skip


def nested(read):
    """What a reader of objects returns, as plain values."""

    def plain(found):
        return found.rest() if isinstance(found, Fields) else [each.rest() for each in found] if found else found

    return lambda fields: plain(read(fields))


READERS = {
    "text": (lambda fields: fields.text("x"), ["", "a", "ab"]),
    "text of a pattern": (lambda fields: fields.text("x", re.compile("a")), ["a"]),
    "constant": (lambda fields: fields.constant("x", "ab"), ["ab"]),
    "optional text": (lambda fields: fields.optional_text("x"), [None, "", "a", "ab"]),
    "optional text of a pattern": (lambda fields: fields.optional_text("x", re.compile("a")), [None, "a"]),
    "count": (lambda fields: fields.count("x"), [1, 2]),
    "count from 0": (lambda fields: fields.count("x", least=0), [0, 1, 2]),
    "count from 2": (lambda fields: fields.count("x", least=2), [2]),
    "optional count": (lambda fields: fields.optional_count("x"), [None, 1, 2]),
    "number": (lambda fields: fields.number("x"), [0, 1, -1, 2, 0.5]),
    "optional number": (lambda fields: fields.optional_number("x"), [None, 0, 1, -1, 2, 0.5]),
    "flag": (lambda fields: fields.flag("x"), [True, False]),
    "texts": (lambda fields: fields.texts("x"), [[], ["a"]]),
    "optional texts": (lambda fields: fields.optional_texts("x"), [MISSING, ["a"]]),
    "counts": (lambda fields: fields.counts("x"), [[], [0], [1, 2]]),
    "nested": (nested(lambda fields: fields.nested("x")), [each for each in SAMPLES if isinstance(each, dict)]),
    "optional nested": (
        nested(lambda fields: fields.optional_nested("x")),
        [MISSING, None, *(each for each in SAMPLES if isinstance(each, dict))],
    ),
    "nested list": (nested(lambda fields: fields.nested_list("x")), [[], [{}], [{"a": 1}]]),
    "optional nested list": (nested(lambda fields: fields.optional_nested_list("x")), [MISSING, [{}], [{"a": 1}]]),
    "texts by name": (lambda fields: fields.mapping_to_text("x"), [{}, {"a": "b"}]),
    "numbers by name": (lambda fields: fields.mapping_to_number("x"), [{}, {"a": 1}, {"a": 0.5}]),
}
WHAT_IS_NOT_THERE = {"optional texts": (), "optional nested": None, "optional nested list": []}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_its_kind_of_value_and_names_the_field_of_any_other(name):
    read, taken = READERS[name]
    for value in SAMPLES:
        fields = Fields({"y": 1} if value is MISSING else {"x": value, "y": 1})
        if any(repr(value) == repr(one) for one in taken):  # 1 == True
            found = read(fields)
            expected = WHAT_IS_NOT_THERE[name] if value is MISSING else value
            assert (list(found) if isinstance(found, tuple) and expected != () else found) == expected
            assert fields.rest() == {"y": 1}, "it was not taken"
        else:
            with pytest.raises(ValueError, match="field 'x' ") as refused:
                read(fields)
            assert ("is missing" in str(refused.value)) is (value is MISSING)


def test_numbers_are_floats_and_lists_are_tuples():
    for read in (Fields.number, Fields.optional_number):
        assert type(read(Fields({"x": 1}), "x")) is float
    assert type(Fields({"x": {"a": 1}}).mapping_to_number("x")["a"]) is float
    assert Fields({"x": [1, 2]}).counts("x") == (1, 2)
    assert Fields({"x": ["a"]}).texts("x") == Fields({"x": ["a"]}).optional_texts("x") == ("a",)


def test_a_long_value_is_told_in_part():
    for read in (Fields.text, Fields.count, Fields.number, Fields.flag):
        with pytest.raises(ValueError, match="field 'x' cannot be") as refused:
            read(Fields({"x": ["y" * 500]}), "x")
        assert len(str(refused.value)) < 110


def test_what_was_not_read_is_an_unknown_field():
    fields = Fields({"b": 1, "a": 2, "x": 3})
    assert fields.count("x") == 3
    with pytest.raises(ValueError, match="unknown fields: a, b"):
        fields.done()
    with pytest.raises(ValueError, match="field 'x' is missing"):
        fields.count("x")
    Fields({}).done()


def test_the_callers_object_stays_as_it_is():
    given = {"x": 1}
    Fields(given).count("x")
    assert given == {"x": 1}
