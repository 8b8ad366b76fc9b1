import json

from hypothesis import assume, given
from hypothesis import strategies as st

from rehearsal.engine.display import Event, Mask, Reporter, Step, Update, lines, summary
from rehearsal.engine.plan import diff
from rehearsal.engine.values import UNKNOWN

names = st.text("abc", min_size=1, max_size=3)
leaves = st.integers(0, 3) | st.text("xyz", max_size=3) | st.just(UNKNOWN)
trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
objects = st.dictionaries(names, trees)
hidden = st.text(min_size=8, max_size=40).filter(lambda text: text.strip() == text and len(text.split()) == 1)


@given(objects)
def test_nothing_differs_from_itself(value: dict[str, object]):
    assert diff(value, value) == ()


@given(objects, objects)
def test_every_difference_lies_in_a_property_that_differs(old: dict[str, object], new: dict[str, object]):
    for change in diff(old, new):
        top = change.path.split(".")[0].split("[")[0]
        assert old.get(top) != new.get(top)


def test_differences_are_told_by_path_and_kind():
    old = {"name": "a", "tags": {"x": 1, "y": 1}, "ports": [1, 2], "gone": True}
    new = {"name": "b", "tags": {"x": 2, "y": 1}, "ports": [1, 3, 4], "arn": UNKNOWN}

    told = {
        change.path: (change.kind, change.old, change.new) for change in diff(old, new, replaces=frozenset({"name"}))
    }

    assert told == {
        "arn": ("add", None, "[unknown]"),
        "gone": ("delete", True, None),
        "name": ("update-replace", "a", "b"),
        "ports[1]": ("update", 2, 3),
        "ports[2]": ("add", None, 4),
        "tags.x": ("update", 1, 2),
    }


def test_an_empty_list_does_not_differ_from_none():
    assert diff({"tags": {}}, {"rules": []}) == ()


@given(hidden, hidden)
def test_the_difference_of_a_secret_tells_neither_value(before: str, after: str):
    assume(before != after)
    (change,) = diff({"token": {"v": before}}, {"token": {"v": after}}, secrets=frozenset({"token"}))
    assert (change.old, change.new) == ("[secret]", "[secret]")


@given(hidden, st.text(), st.text())
def test_no_text_leaves_with_a_secret_in_it(secret: str, before: str, after: str):
    mask = Mask()
    mask.learn({"password": [secret]})
    assume(secret not in before + "[secret]" + after)

    for spelling in (secret, json.dumps(secret), repr(secret)):
        told = mask.text(before + spelling + after)
        assert secret not in told
        assert json.dumps(secret)[1:-1] not in told


@given(st.text("abc", min_size=8, max_size=12), st.text("abc", max_size=6), st.text("abc", max_size=6), st.booleans())
def test_a_secret_that_holds_another_is_masked_whole(inner: str, before: str, after: str, outer_first: bool):
    outer = before + inner + after
    mask = Mask()
    for secret in (outer, inner) if outer_first else (inner, outer):
        mask.learn(secret)
    assert mask.text(f"token={outer};") == "token=[secret];"


@given(hidden)
def test_nothing_an_operation_tells_holds_a_known_secret(secret: str):
    assume(secret not in "[secret] ! failed after unchanged update of test error with iam.Role r" and "[" not in secret)
    told: list[str] = []
    mask = Mask()
    mask.learn(secret)
    reporter = Reporter("up", "test", mask=mask, listener=lambda event: told.extend(lines(event, "up")))
    step = Step(
        op="update",
        urn="urn",
        type="aws:iam/role:Role",
        name="r",
        changes=diff({"description": "a"}, {"description": f"is {secret}"}),
    )

    reporter.started(step)
    reporter.finished(step)
    reporter.message(f"printed {secret}")
    reporter.failure(f"AccessDenied: {secret}", step)
    update = reporter.update({})

    everything = "\n".join([*told, *summary(update), repr(update)])
    assert secret not in everything
    assert "[secret]" in everything


def test_a_listener_that_fails_does_not_stop_the_deployment():
    def broken(event: Event) -> None:
        raise BrokenPipeError

    reporter = Reporter("up", "test", mask=Mask(), listener=broken)
    reporter.message("hello")
    assert reporter.update({}).ok


def test_the_summary_counts_what_was_done():
    update = Update(
        kind="up",
        stack="test",
        ok=True,
        changes={"create": 2, "same": 3},
        outputs={"bucket": "b", "token": "[secret]"},
        steps=(),
        errors=(),
        seconds=1.25,
    )
    assert list(summary(update)) == [
        "Outputs:",
        '  bucket  "b"',
        "  token   [secret]",
        "Up of test: 2 created, 3 unchanged in 1.2 s.",
    ]
