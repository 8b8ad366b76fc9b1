import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.engine.step import at, decide, ignore_changes, ignored, property_path, replaced_fields
from rehearsal.engine.values import UNKNOWN

names = st.text("abc", min_size=1, max_size=2)
trees = st.recursive(st.integers(0, 3), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner))
objects = st.dictionaries(names, trees)


def test_nothing_before_means_create():
    assert decide(None, {"a": 1}, []) == "create"


def test_equal_states_mean_same():
    assert decide({"a": 1}, {"a": 1}, [("a",)]) == "same"


def test_a_difference_means_update():
    assert decide({"a": 1}, {"a": 2}, []) == "update"


def test_a_difference_that_cannot_be_made_in_place_means_replace():
    assert decide({"a": {"b": [1]}}, {"a": {"b": [2]}}, [("a", "b", 0)]) == "replace"
    assert decide({"a": 1}, {"a": UNKNOWN}, [("a",)]) == "replace"


def test_a_path_that_does_not_differ_forces_nothing():
    assert decide({"a": 1, "b": 1}, {"a": 1, "b": 2}, [("a",)]) == "update"
    assert replaced_fields({"a": 1, "b": 1}, {"a": 1, "b": 2}, [("a",), ("b",)]) == {"b"}


def test_a_half_created_resource_is_replaced_even_when_nothing_differs():
    assert decide({"a": 1}, {"a": 1}, [], tainted=True) == "replace"


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("tags", ("tags",)),
        ("tags.owner", ("tags", "owner")),
        ("rules[0].id", ("rules", 0, "id")),
        ('tags["a.b"].c', ("tags", "a.b", "c")),
        ('tags["say \\"hi\\""]', ("tags", 'say "hi"')),
    ],
)
def test_property_paths_are_read_as_pulumi_writes_them(path: str, steps: tuple[str | int, ...]):
    assert property_path(path) == steps


@given(objects, objects, names)
def test_an_ignored_property_stays_as_it_was_and_the_rest_changes(
    new: dict[str, object], old: dict[str, object], ignored: str
):
    result = ignore_changes(new, old, [ignored])

    assert (ignored in result) == (ignored in old)
    assert result.get(ignored) == old.get(ignored)
    assert {k: v for k, v in result.items() if k != ignored} == {k: v for k, v in new.items() if k != ignored}


def test_an_ignored_part_leaves_its_neighbours_alone():
    new = {"tags": {"a": 2, "b": 2}, "rules": [{"x": 2}, {"x": 3}]}
    old = {"tags": {"a": 1}, "rules": [{"x": 1}]}

    assert ignore_changes(new, old, ["tags.a", "rules[0].x"]) == {
        "tags": {"a": 1, "b": 2},
        "rules": [{"x": 1}, {"x": 3}],
    }
    assert ignore_changes(new, old, ["tags.b"])["tags"] == {"a": 2}
    assert new == {"tags": {"a": 2, "b": 2}, "rules": [{"x": 2}, {"x": 3}]}


@pytest.mark.parametrize(
    ("path", "found"),
    [("tags", True), ("tags.owner", True), ("tagsAll", False), ("rules[0].id", True), ("rules[1].id", False)],
)
def test_what_lies_at_or_below_an_ignored_path_is_ignored(path: str, found: bool):
    assert ignored(path, ["tags", "rules[0]"]) is found


def test_what_lies_nowhere_is_the_default():
    assert at({"a": [1]}, ("a", 1), "nothing") == "nothing"
    assert at({"a": 1}, ("a", "b"), "nothing") == "nothing"
