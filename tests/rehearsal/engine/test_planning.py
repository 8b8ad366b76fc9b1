from typing import Any, cast

import pytest

from rehearsal.engine import naming, planning, sdk
from rehearsal.engine import step as decisions
from rehearsal.engine.bridge import Kind
from rehearsal.engine.provider import Plan
from rehearsal.engine.record import Record
from rehearsal.engine.schema import Block, Schema
from rehearsal.engine.type_table import RESOURCES

OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
BUCKET = "aws:s3/bucket:Bucket"


def kind(token: str, *fields: str) -> Kind:
    row = RESOURCES[token]
    names = naming.match(fields, map(naming.camel, fields), row.spelled)
    schema = Schema(name=row.terraform, version=0, block=Block(attributes={}, blocks={}))
    return Kind(row=row, schema=schema, properties=sdk.NO_PROPERTIES, names=names)


def record(**changes: Any) -> Record:
    return Record(urn="urn:x", type=BUCKET, name="Photos", **changes)


def test_an_ignored_field_that_only_the_provider_sets_neither_changes_nor_replaces():
    plan = Plan(state={"key": "b", "object_lock_mode": None}, replaces=(("object_lock_mode",), ("key",)), private=b"")
    prior = {"key": "a", "object_lock_mode": "GOVERNANCE"}

    ignoring = planning._ignoring(kind(OBJECT, "key", "object_lock_mode"), plan, prior, ["objectLockMode"])

    assert ignoring.state == {"key": "b", "object_lock_mode": "GOVERNANCE"}
    assert ignoring.replaces == (("key",),)


def test_a_name_that_the_engine_gave_is_kept():
    first = planning._named(kind(BUCKET, "bucket"), record(), None)
    again = planning._named(kind(BUCKET, "bucket"), record(), first)
    assert first.inputs["bucket"].startswith("photos-")
    assert again.inputs == first.inputs
    assert again.autonamed == "bucket"


@pytest.mark.parametrize("given", [{"bucket": "mine"}, {"bucketPrefix": "mine-"}])
def test_a_name_or_prefix_that_the_program_gives_is_left_alone(given: dict[str, str]):
    named = planning._named(kind(BUCKET, "bucket", "bucket_prefix"), record(inputs=given), None)
    assert (named.inputs, named.autonamed) == (given, "")


def test_a_name_that_the_program_gave_before_is_not_taken_for_the_engines():
    old = record(inputs={"bucket": "mine"})
    assert planning._named(kind(BUCKET, "bucket"), record(), old).inputs["bucket"] != "mine"


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
    assert decisions.deletes_before_replacing(kind(BUCKET, "bucket"), before, inputs, wish) is first
