from hypothesis import given
from hypothesis import strategies as st

from rehearsal.engine import wire
from rehearsal.engine.values import UNKNOWN

names = st.text(min_size=1).filter(lambda name: name != wire.SIGNATURE)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.just(UNKNOWN)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=20)


@given(st.dictionaries(names, values), st.data())
def test_properties_survive_the_wire_with_their_secrets(properties: dict[str, object], data: st.DataObject):
    chosen = data.draw(st.sets(st.sampled_from(sorted(properties)))) if properties else set[str]()

    got = wire.read(wire.write(properties, frozenset(chosen)))

    assert got.values == properties
    assert got.secrets == chosen


def test_a_secret_deep_inside_makes_the_whole_property_secret():
    tags = {"a": "plain", "b": {wire.SIGNATURE: wire.SECRET, "value": "hidden"}}

    got = wire.read(wire.write({"tags": tags, "name": "n"}))

    assert got.values == {"tags": {"a": "plain", "b": "hidden"}, "name": "n"}
    assert got.secrets == {"tags"}


def test_whole_numbers_come_back_as_integers():
    assert repr(wire.read(wire.write({"n": 3, "x": 0.5})).values) == "{'n': 3, 'x': 0.5}"


def test_properties_come_in_the_order_of_their_names():
    assert list(wire.read(wire.write({"b": {"z": 1, "a": 2}, "a": 1})).values) == ["a", "b"]
    assert list(wire.read(wire.write({"b": {"z": 1, "a": 2}})).values["b"]) == ["a", "z"]


def test_assets_are_recognised():
    assert wire.is_asset({wire.SIGNATURE: wire.ASSET, "text": "hello"})
    assert wire.is_asset({wire.SIGNATURE: wire.ARCHIVE, "assets": {}})
    assert not wire.is_asset({"text": "hello"})
