import copy
import pickle

from hypothesis import given
from hypothesis import strategies as st

from rehearsal.engine.values import UNKNOWN, has_unknown, pack, unpack

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.just(UNKNOWN)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


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


def test_the_unknown_stays_itself_when_copied():
    assert copy.deepcopy([UNKNOWN])[0] is UNKNOWN
    assert pickle.loads(pickle.dumps(UNKNOWN)) is UNKNOWN  # noqa: S301
