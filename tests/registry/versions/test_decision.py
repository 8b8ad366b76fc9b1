"""A version's decision survives its file, and says the same of every scores that a machine may round to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.versions.decision import Decision, decide, is_steady

LABELS = ("cat", "dog", "fox")


def alarm(threshold: float, positive: str = "dog") -> Decision:
    return Decision(positive=positive, threshold=threshold, false_positive_cost=1, false_negative_cost=3)


scores = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3)
decisions = st.none() | st.builds(alarm, st.floats(0, 1.0000000000000002), st.sampled_from(LABELS))


@given(scores)
def test_without_a_decision_the_likeliest_class_is_the_answer(found: list[float]):
    assert found[decide(found, LABELS, None)] == max(found)


@given(scores, st.floats(0, 1))
def test_from_the_threshold_on_it_is_the_positive_class_and_below_it_the_likeliest_other(
    found: list[float], threshold: float
):
    answer = decide(found, LABELS, alarm(threshold))
    assert (answer == 1) == (found[1] >= threshold)
    assert answer == 1 or found[answer] == max(found[0], found[2])


@given(scores, decisions, st.lists(st.floats(-1e-3, 1e-3), min_size=3, max_size=3))
def test_a_steady_answer_is_turned_by_no_rounding(found: list[float], decision: Decision | None, moved: list[float]):
    if is_steady(found, LABELS, decision, within=1e-3):
        elsewhere = [score + by for score, by in zip(found, moved, strict=True)]
        assert decide(elsewhere, LABELS, decision) == decide(found, LABELS, decision)


@pytest.mark.parametrize(
    ("found", "decision", "steady"),
    [
        ((0.5, 0.3, 0.2), None, True),
        ((0.5, 0.4991, 0.0), None, False),
        ((0.4, 0.4, 0.2), alarm(0.3), True),
        ((0.6, 0.3001, 0.1), alarm(0.3), False),
        ((0.4, 0.2, 0.4), alarm(0.3), False),
    ],
)
def test_only_what_lies_on_an_edge_is_not_steady(found: tuple[float, ...], decision: Decision | None, steady: bool):
    assert is_steady(found, LABELS, decision, within=1e-3) is steady


@given(st.floats(0, 1.0000000000000002), st.floats(0, 1e6))
def test_a_decision_is_read_as_it_was_written(threshold: float, cost: float):
    decision = Decision(positive="fox", threshold=threshold, false_positive_cost=cost, false_negative_cost=2.5)
    assert Decision.from_json(decision.to_json(), LABELS) == decision


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (alarm(0.5, "cow").to_json(), "cat, dog, fox"),
        (alarm(1.5).to_json(), "from 0 to 1"),
        (alarm(-0.1).to_json(), "from 0 to 1"),
        (alarm(0.5).to_json() + b"\n", "canonical"),
        (b"[]", "object"),
        (b'{"positive":"dog"}', "threshold"),
    ],
)
def test_what_is_no_decision_is_refused_with_its_reason(data: bytes, said: str):
    with pytest.raises(ValueError, match=said):
        Decision.from_json(data, LABELS)
