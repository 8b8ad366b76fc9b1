import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.engine.state import short_type
from rehearsal.engine.translation import names
from rehearsal.engine.translation.resources import autoname
from rehearsal.engine.translation.type_table import RESOURCES, Autoname

RULES = [row.autoname for row in RESOURCES.values() if row.autoname is not None]
words = st.from_regex(r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*){0,3}", fullmatch=True)


@given(st.lists(words, unique_by=names.camel))
def test_fields_spelled_alike_are_paired_both_ways(fields: list[str]):
    matched = names.match(fields, map(names.camel, fields), {})

    assert dict(matched.to_sdk) == {field: names.camel(field) for field in fields}
    assert {matched.to_terraform[p]: p for p in matched.to_terraform} == dict(matched.to_sdk)


@given(st.lists(words, unique=True), st.lists(words, unique=True))
def test_no_two_fields_share_a_property(fields: list[str], properties: list[str]):
    matched = names.match(fields, properties, {})
    assert len(set(matched.to_sdk.values())) == len(matched.to_sdk)


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
    assert names.match([field], [property_], {}).to_sdk == {field: property_}


def test_the_exact_spelling_goes_before_a_plural():
    matched = names.match(["timeouts", "timeout"], ["timeout"], {})
    assert matched.to_sdk == {"timeout": "timeout"}


def test_the_table_decides_before_any_rule():
    assert names.match(["topic_arn"], ["topic", "topicArn"], {"topic_arn": "topic"}).to_sdk == {"topic_arn": "topic"}


@given(st.text("abcXYZ019-", min_size=1, max_size=300), st.sampled_from(RULES))
def test_a_given_name_is_recognisable_fits_and_is_fresh(name: str, rule: Autoname):
    given_name, other = autoname(rule, name), autoname(rule, name)

    assert len(given_name) <= rule.longest
    assert given_name != other
    assert re.fullmatch(rf"{re.escape(rule.prefix)}.*-[0-9a-f]{{7}}", given_name)
    assert not rule.lower or given_name == given_name.lower()
    stem = given_name.removeprefix(rule.prefix)[:-8]
    assert name.lower().startswith(stem.lower())


def test_types_are_told_as_people_say_them():
    assert short_type("aws:s3/bucket:Bucket") == "s3.Bucket"
    assert short_type("petpark:infra:ModelStore") == "petpark:infra:ModelStore"
