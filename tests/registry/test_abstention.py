"""The record by which a version abstains is read strictly, and its rule decides at its very bounds."""

from dataclasses import replace
from typing import Any

import pytest

from registry.encoding import canonical
from registry.versions.abstention import Abstention, answer_set, as_text

LABELS = ("cat", "dog")
RECORD = Abstention(
    coverage=0.9, strangeness=0.5, thresholds={"cat": 0.2, "dog": 0.4}, grouped_by="camera", groups=7, photos=120
)
STORED: dict[str, Any] = {
    "format": 1,
    "coverage": 0.9,
    "strangeness": 0.5,
    "thresholds": {"cat": 0.2, "dog": 0.4},
    "grouped_by": "camera",
    "groups": 7,
    "photos": 120,
}


def test_it_is_stored_as_canonical_json_and_read_back():
    assert RECORD.to_json() == canonical(STORED)
    assert Abstention.from_json(RECORD.to_json(), LABELS) == RECORD


@pytest.mark.parametrize("bounds", [{"strangeness": 0}, {"strangeness": 1}, {"thresholds": {"cat": 0, "dog": 1}}])
def test_bounds_may_be_reached(bounds: dict[str, Any]):
    assert Abstention.from_json(canonical(STORED | bounds), LABELS)


@pytest.mark.parametrize("none", [{"grouped_by": "", "groups": 0}])
def test_without_groups_there_are_none(none: dict[str, Any]):
    assert Abstention.from_json(canonical(STORED | none), LABELS).groups == 0


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"format": 2}, "format"),
        ({"thresholds": {"cat": 0.2}}, "thresholds"),
        ({"thresholds": {"cat": 0.2, "dog": 0.4, "fox": 0.1}}, "thresholds"),
        ({"thresholds": {"cat": 0.2, "dog": -0.1}}, "threshold of 'dog'"),
        ({"thresholds": {"cat": 1.1, "dog": 0.4}}, "threshold of 'cat'"),
        ({"thresholds": {"cat": "0.2", "dog": 0.4}}, "thresholds"),
        ({"coverage": 0}, "coverage"),
        ({"coverage": 1}, "coverage"),
        ({"coverage": "0.9"}, "coverage"),
        ({"strangeness": -0.1}, "strangeness"),
        ({"strangeness": 1.1}, "strangeness"),
        ({"grouped_by": 1}, "grouped_by"),
        ({"groups": -1}, "groups"),
        ({"photos": 0}, "photos"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(changed: dict[str, Any], named: str):
    with pytest.raises(ValueError, match=named):
        Abstention.from_json(canonical(STORED | changed), LABELS)


@pytest.mark.parametrize("name", STORED)
def test_what_is_missing_is_refused_by_its_name(name: str):
    with pytest.raises(ValueError, match=name):
        Abstention.from_json(canonical({key: value for key, value in STORED.items() if key != name}), LABELS)


@pytest.mark.parametrize(
    ("scores", "strangeness", "answer", "classes"),
    [
        ((0.8, 0.2), 0.0, "cat", ("cat",)),
        ((0.3, 0.7), 0.5, "dog", ("dog", "cat")),
        ((0.2, 0.8), 0.0, "dog", ("dog", "cat")),  # at its threshold a class is part of the answer
        ((0.6, 0.4), 0.0, "cat", ("cat", "dog")),
        ((0.9, 0.1), 0.51, "cat", ()),
        ((0.1, 0.1), 0.0, "cat", ("cat",)),  # what the version decided is always part of it
    ],
)
def test_an_answer_has_each_class_that_reaches_its_threshold_the_likeliest_first(
    scores: tuple[float, float], strangeness: float, answer: str, classes: tuple[str, ...]
):
    assert answer_set(scores, strangeness, LABELS, answer, RECORD) == classes


def test_a_class_without_visitors_answers_neither():
    record = replace(RECORD, thresholds={"cat": 0.2, "background": 0.2})
    assert answer_set((0.1, 0.9), 0.0, ("cat", "background"), "background", record) == ()


@pytest.mark.parametrize(("classes", "text"), [((), "neither"), (("dog",), "dog"), (("dog", "cat"), "cat or dog?")])
def test_an_answer_is_said_in_words(classes: tuple[str, ...], text: str):
    assert as_text(classes) == text
