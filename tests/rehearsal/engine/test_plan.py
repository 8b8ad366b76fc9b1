from typing import Any, cast

import pytest

from rehearsal.engine.plan import at, decide, deletes_before_replacing, named, replaced_fields
from rehearsal.engine.provider.schema import Block, Schema
from rehearsal.engine.state import Record
from rehearsal.engine.translation import names
from rehearsal.engine.translation.resources import Kind
from rehearsal.engine.translation.type_table import RESOURCES
from rehearsal.engine.values import UNKNOWN

BUCKET = "aws:s3/bucket:Bucket"


def kind(token: str, *fields: str) -> Kind:
    row = RESOURCES[token]
    matched = names.match(fields, map(names.camel, fields), row.spelled)
    schema = Schema(name=row.terraform, version=0, block=Block(attributes={}, blocks={}))
    return Kind(row=row, schema=schema, shapes={}, names=matched)


def record(**changes: Any) -> Record:
    return Record(urn="urn:x", type=BUCKET, name="Photos", **changes)


def test_a_name_that_the_engine_gave_is_kept():
    first = named(kind(BUCKET, "bucket"), record(), None)
    again = named(kind(BUCKET, "bucket"), record(), first)
    assert first.inputs["bucket"].startswith("photos-")
    assert again.inputs == first.inputs
    assert again.autonamed == "bucket"


@pytest.mark.parametrize("given", [{"bucket": "mine"}, {"bucketPrefix": "mine-"}])
def test_a_name_or_prefix_that_the_program_gives_is_left_alone(given: dict[str, str]):
    after = named(kind(BUCKET, "bucket", "bucket_prefix"), record(inputs=given), None)
    assert (after.inputs, after.autonamed) == (given, "")


def test_a_name_that_the_program_gave_before_is_not_taken_for_the_engines():
    old = record(inputs={"bucket": "mine"})
    assert named(kind(BUCKET, "bucket"), record(), old).inputs["bucket"] != "mine"


@pytest.mark.parametrize(
    ("old", "inputs", "wish", "first"),
    [
        ({"inputs": {"bucket": "fixed"}}, {"bucket": "fixed"}, None, True),
        ({"inputs": {"bucket": "fixed"}}, {"bucket": "other"}, None, False),
        ({"inputs": {"bucket": "x-1"}, "autonamed": "bucket"}, {"bucket": "x-1"}, None, False),
        ({"inputs": {"bucket": "fixed"}}, {"bucket": "fixed"}, False, False),
        ({"inputs": {}}, {}, True, True),
        ({"inputs": {}, "tainted": True}, {}, None, True),
    ],
)
def test_the_old_one_goes_first_where_both_would_have_one_name(
    old: dict[str, Any], inputs: dict[str, Any], wish: bool | None, first: bool
):
    before = record(**cast("Any", old))
    assert deletes_before_replacing(kind(BUCKET, "bucket"), before, inputs, wish) is first


def test_nothing_before_means_create():
    assert decide(None, {"a": 1}, []) == "create"


def test_equal_states_mean_same():
    assert decide({"a": 1}, {"a": 1}, [("a",)]) == "same"


def test_a_difference_means_update():
    assert decide({"a": 1}, {"a": 2}, []) == "update"


def test_a_difference_that_cannot_be_made_in_place_means_replace():
    assert decide({"a": {"b": [1]}}, {"a": {"b": [2]}}, [("a", "b", 0)]) == "replace"
    assert decide({"a": 1}, {"a": UNKNOWN}, [("a",)]) == "replace"


def test_a_path_that_does_not_differ_forces_nothing():
    assert decide({"a": 1, "b": 1}, {"a": 1, "b": 2}, [("a",)]) == "update"
    assert replaced_fields({"a": 1, "b": 1}, {"a": 1, "b": 2}, [("a",), ("b",)]) == {"b"}


def test_a_half_created_resource_is_replaced_even_when_nothing_differs():
    assert decide({"a": 1}, {"a": 1}, [], tainted=True) == "replace"


def test_nothing_lies_where_there_is_no_such_path():
    assert at({"a": [1]}, ("a", 0)) == 1
    assert at({"a": [1]}, ("a", 1)) is None
    assert at({"a": 1}, ("a", "b")) is None
