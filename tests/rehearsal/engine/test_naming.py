import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.engine import naming
from rehearsal.engine.bridge import autoname
from rehearsal.engine.type_table import RESOURCES, Autoname, short_type

RULES = [row.autoname for row in RESOURCES.values() if row.autoname is not None]
words = st.from_regex(r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*){0,3}", fullmatch=True)


@given(st.lists(words, unique_by=naming.camel))
def test_fields_spelled_alike_are_paired_both_ways(fields: list[str]):
    names = naming.match(fields, map(naming.camel, fields), {})

    assert dict(names.to_sdk) == {field: naming.camel(field) for field in fields}
    assert {names.to_terraform[p]: p for p in names.to_terraform} == dict(names.to_sdk)


@given(st.lists(words, unique=True), st.lists(words, unique=True))
def test_no_two_fields_share_a_property(fields: list[str], properties: list[str]):
    names = naming.match(fields, properties, {})
    assert len(set(names.to_sdk.values())) == len(names.to_sdk)


@pytest.mark.parametrize(
    ("field", "property_"),
    [
        ("vpc_id", "vpcId"),
        ("subnet", "subnets"),
        ("policy", "policies"),
        ("security_groups", "securityGroup"),
        ("index", "indices"),
        ("alias", "aliases"),
    ],
)
def test_plurals_and_singulars_meet(field: str, property_: str):
    assert naming.match([field], [property_], {}).to_sdk == {field: property_}


def test_the_exact_spelling_goes_before_a_plural():
    names = naming.match(["timeouts", "timeout"], ["timeout"], {})
    assert names.to_sdk == {"timeout": "timeout"}


def test_the_table_decides_before_any_rule():
    assert naming.match(["topic_arn"], ["topic", "topicArn"], {"topic_arn": "topic"}).to_sdk == {"topic_arn": "topic"}


@given(st.text("abcXYZ019-", min_size=1, max_size=300), st.sampled_from(RULES))
def test_a_given_name_is_recognisable_fits_and_is_fresh(name: str, rule: Autoname):
    given_name, other = autoname(rule, name, {}), autoname(rule, name, {})

    assert len(given_name) <= rule.longest
    assert given_name != other
    assert re.fullmatch(rf"{re.escape(rule.prefix)}.*-[0-9a-f]{{7}}", given_name)
    assert not rule.lower or given_name == given_name.lower()
    stem = given_name.removeprefix(rule.prefix)[:-8]
    assert name.lower().startswith(stem.lower())


def test_fifo_queues_are_named_so():
    rule = Autoname(fifo=True)
    assert autoname(rule, "jobs", {"fifoQueue": True}).endswith(".fifo")
    assert not autoname(rule, "jobs", {}).endswith(".fifo")


def test_types_are_told_as_people_say_them():
    assert short_type("aws:s3/bucket:Bucket") == "s3.Bucket"
    assert short_type("petpark:infra:ModelStore") == "petpark:infra:ModelStore"
