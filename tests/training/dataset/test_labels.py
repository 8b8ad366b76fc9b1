"""A class has one name, and one that people can read."""

import contextlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.dataset.labels import clean_label


@given(st.text(max_size=30))
def test_a_clean_label_stays_as_it_is_and_shows_all_that_it_holds(name: str):
    with contextlib.suppress(ValueError):
        label = clean_label(name)
        assert clean_label(label) == label
        assert label.isprintable()
        assert label == label.strip() != ""


@given(st.text(st.characters(categories=["L", "N", "M"]), min_size=1, max_size=20))
def test_however_an_accent_is_spelled_the_label_is_the_same(name: str):
    spellings = {clean_label(unicodedata.normalize(form, name)) for form in ("NFC", "NFD")}
    assert len(spellings) == 1


@pytest.mark.parametrize("name", ["", " ", "a\x1b[0mb", "a\x00", "a\u202eb", "\ufeff"])
def test_a_label_that_cannot_be_read_is_refused_in_readable_words(name: str):
    with pytest.raises(ValueError, match="class") as refused:
        clean_label(name)
    assert str(refused.value).isprintable()
