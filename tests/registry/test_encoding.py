"""Canonical JSON: the bytes of the library that implements RFC 8785, whichever encoder writes them."""

from collections.abc import Callable

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from registry.encoding import canonical
from training.dataset.manifest import Split

TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.sampled_from(Split)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=12)


def bytes_of(encode: Callable[[dict[str, object]], bytes], value: dict[str, object]) -> bytes | None:
    try:
        return encode(value)
    except ValueError:
        return None


@given(st.dictionaries(TEXTS, VALUES | st.tuples(VALUES)))
@example({"\ue000": 1, "\U00010000": 2})
@example({"a": '\x00\x1f\x7f"\\/\b\f\n\r\té\u2028', "b": "\ud800"})
@example({"a": True, "b": {}, "c": [], "d": {"z": [], "a": ()}})
def test_every_value_has_the_bytes_that_rfc_8785_gives_it(value: dict[str, object]) -> None:
    assert bytes_of(canonical, value) == bytes_of(rfc8785.dumps, value)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("number", [1e-5, 0.0001, 0.00012, 1e15, 1.5e15, 1e16, 1.5e16, 1e21, 5.0, -0.0, 1.5, 2**53 - 1])
def test_numbers_have_the_bytes_that_rfc_8785_gives_them(number: float) -> None:
    assert canonical({"a": number, "b": [-number]}) == rfc8785.dumps({"a": number, "b": [-number]})


@pytest.mark.parametrize(
    "value", [{1: "a"}, {"a": {None: 1}}, {"a": {1, 2}}, {"a": b""}, {"a": float("nan")}, {"a": 2**53}]
)
def test_values_that_json_lacks_are_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"unsupported type|must be strings|not representable|exceeds"):
        canonical(value)
