from hypothesis import given
from hypothesis import strategies as st

from rehearsal.engine.values import (
    ARCHIVE,
    ASSET,
    SIGNATURE,
    UNKNOWN,
    from_struct,
    has_unknown,
    is_asset,
    pack,
    secret,
    to_struct,
    unpack,
)

names = st.text(min_size=1).filter(lambda name: name != SIGNATURE)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.just(UNKNOWN)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


properties = st.dictionaries(
    names, st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=20)
)


@given(values)
def test_a_value_survives_the_providers_protocol(value: object):
    assert unpack(pack(value)) == value


def test_a_refined_unknown_is_unknown():
    refined = bytes([0xC7, 3, 12, 0x81, 0x01, 0xC2])  # extension of 3 bytes, type 12: "not null"
    assert unpack(refined) is UNKNOWN


@given(values)
def test_an_unknown_is_found_at_any_depth(value: object):
    assert has_unknown([{"a": [value, UNKNOWN]}])
    assert has_unknown(value) == ("<unknown>" in repr(value) and has_unknown([value]))


@given(properties, st.data())
def test_properties_survive_the_wire_with_their_secrets(properties: dict[str, object], data: st.DataObject):
    chosen = data.draw(st.sets(st.sampled_from(sorted(properties)))) if properties else set[str]()

    got = from_struct(to_struct(properties, frozenset(chosen)))

    assert got.values == properties
    assert got.secrets == chosen


def test_a_secret_deep_inside_makes_the_whole_property_secret():
    tags = {"a": "plain", "b": secret("hidden")}

    got = from_struct(to_struct({"tags": tags, "name": "n"}))

    assert got.values == {"tags": {"a": "plain", "b": "hidden"}, "name": "n"}
    assert got.secrets == {"tags"}


def test_whole_numbers_come_back_as_integers():
    assert repr(from_struct(to_struct({"n": 3, "x": 0.5})).values) == "{'n': 3, 'x': 0.5}"


def test_properties_come_in_the_order_of_their_names():
    assert list(from_struct(to_struct({"b": {"z": 1, "a": 2}, "a": 1})).values) == ["a", "b"]
    assert list(from_struct(to_struct({"b": {"z": 1, "a": 2}})).values["b"]) == ["a", "z"]


def test_assets_are_recognised():
    assert is_asset({SIGNATURE: ASSET, "text": "hello"})
    assert is_asset({SIGNATURE: ARCHIVE, "assets": {}})
    assert not is_asset({"text": "hello"})
