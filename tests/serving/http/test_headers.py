"""Header lines are looked up quickly, and mean what they mean elsewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from serving.http.request_middleware import IndexedHeaders

NAMES = ("host", "content-type", "x-request-id")
VALUES = st.text(st.characters(max_codepoint=255)).map(lambda text: text.encode("latin-1"))
LINES = st.lists(st.tuples(st.sampled_from([name.encode() for name in NAMES]), VALUES))


@given(LINES)
def test_indexed_header_lines_are_found_as_starlette_finds_them(lines):
    ours, theirs = IndexedHeaders(scope={"headers": lines}), Headers(raw=lines)
    for name in (*NAMES, "Content-Type", "X-REQUEST-ID", "x-missing"):
        assert ours.get(name) == theirs.get(name)
        assert ours.get(name, "none") == theirs.get(name, "none")
        assert (name in ours) == (name in theirs)
        assert ours.getlist(name) == theirs.getlist(name)
        if name in theirs:
            assert ours[name] == theirs[name]
        else:
            with pytest.raises(KeyError):
                ours[name]
    assert ours == theirs
