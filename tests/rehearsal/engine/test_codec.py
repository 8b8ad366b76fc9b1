from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.engine.errors import Unsupported
from rehearsal.engine.provider.schema import Attribute, Block, NestedBlock, Nesting
from rehearsal.engine.translation import names
from rehearsal.engine.translation.codec import Codec
from rehearsal.engine.values import ASSET, SIGNATURE, UNKNOWN


@pulumi.output_type
class Rule(dict[str, Any]):
    """What an SDK class of a nested block looks like."""

    @property
    @pulumi.getter(name="fromPort")
    def from_port(self) -> int: ...  # pyright: ignore[reportReturnType]

    @property
    @pulumi.getter(name="cidrBlocks")
    def cidr_blocks(self) -> Sequence[str]: ...  # pyright: ignore[reportReturnType]


def attribute(kind: object = "string", *, optional: bool = True, computed: bool = False) -> Attribute:
    return Attribute(type=kind, optional=optional, computed=computed)


RULE = Block(attributes={"from_port": attribute("number"), "cidr_blocks": attribute(["set", "string"])}, blocks={})
BLOCK = Block(
    attributes={
        "name": attribute(),
        "enabled": attribute("bool"),
        "warmup": attribute(),  # a number that may be unset, as Terraform keeps them
        "zone_ids": attribute(["list", "string"]),
        "labels": attribute(["map", "string"]),
        "policy": attribute(),
        "endpoint": attribute(["list", ["object", {"from_port": "number", "cidr_blocks": ["set", "string"]}]]),
        "arn": attribute(optional=False, computed=True),
    },
    blocks={
        "ingress": NestedBlock(block=RULE, nesting=Nesting.SET),
        "default_rule": NestedBlock(block=RULE, nesting=Nesting.LIST),
    },
)
SHAPES = {
    "name": names.shape(str),
    "enabled": names.shape(bool),
    "warmup": names.shape(int),
    "zoneIds": names.shape(Sequence[str]),
    "labels": names.shape(Mapping[str, str]),
    "policy": names.shape(str),
    "endpoint": names.shape(Rule),
    "arn": names.shape(str),
    "ingresses": names.shape(Sequence[Rule]),
    "defaultRule": names.shape(Rule),
}
CODEC = Codec(label="test.Group", spelled={}, materialise=lambda asset: f"file:{asset['text']}")

numbers = st.integers(0, 65535)
rules = st.fixed_dictionaries({}, optional={"fromPort": numbers, "cidrBlocks": st.lists(st.text(), min_size=1)})
inputs = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(),
        "enabled": st.booleans(),
        "warmup": numbers,
        "zoneIds": st.lists(st.text()),
        "labels": st.dictionaries(st.text(), st.text()),
        "endpoint": rules,
        "ingresses": st.lists(rules, min_size=1),
        "defaultRule": rules,
    },
)


def encode(value: Mapping[str, Any]) -> dict[str, Any]:
    return CODEC.encode(BLOCK, SHAPES, value)


@given(inputs)
def test_what_the_program_sets_comes_back_as_it_was(value: dict[str, Any]):
    assert {k: v for k, v in CODEC.decode(BLOCK, SHAPES, encode(value)).items() if k in value} == value


@given(inputs)
def test_every_field_of_the_block_is_there(value: dict[str, Any]):
    assert encode(value).keys() == BLOCK.empty().keys()


def test_one_object_becomes_a_list_of_one():
    assert encode({"defaultRule": {"fromPort": 80}})["default_rule"] == [{"from_port": 80, "cidr_blocks": None}]


def test_unknowns_pass_at_any_depth():
    fields = encode({"name": UNKNOWN, "ingresses": [{"fromPort": UNKNOWN}], "defaultRule": UNKNOWN})
    assert fields["name"] is UNKNOWN
    assert fields["ingress"][0]["from_port"] is UNKNOWN
    assert fields["default_rule"] is UNKNOWN


def test_a_policy_may_be_an_object_and_is_sent_as_json():
    assert encode({"policy": {"Version": "1", "Statement": []}})["policy"] == '{"Version":"1","Statement":[]}'


def test_an_asset_is_sent_as_the_path_of_its_file():
    assert encode({"policy": {SIGNATURE: ASSET, "text": "hello"}})["policy"] == "file:hello"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"colour": "red"}, "'colour'"),
        ({"ingresses": [{"fromPort": 1}, {"toPort": 2}]}, "'ingresses[1].toPort'"),
        ({"endpoint": {"toPort": 2}}, "toPort"),
        ({"arn": "mine"}, "'arn' is an output"),
        ({"enabled": "perhaps"}, "'enabled' must be true or false"),
        ({"defaultRule": {"fromPort": "eighty"}}, "'defaultRule[0].fromPort' must be a number"),
        ({"labels": ["a"]}, "'labels' must be a map"),
        ({"ingresses": ["all"]}, "'ingresses[0]' must be an object"),
    ],
)
def test_what_has_no_place_is_refused_by_name(value: dict[str, Any], named: str):
    with pytest.raises(Unsupported) as refusal:
        encode(value)
    assert named in str(refusal.value)
    assert "test.Group" in str(refusal.value)


def test_a_refusal_does_not_tell_the_value():
    with pytest.raises(Unsupported) as refusal:
        encode({"enabled": "hunter2"})
    assert "hunter2" not in str(refusal.value)
