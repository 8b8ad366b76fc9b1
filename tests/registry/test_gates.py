"""What a stack may ask, as its configuration says it, and which way is stricter."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.gates import DATA_GATES, MODEL_GATES, GatesInvalid, StackGates, Stricter, failed, judged

SHARES = st.floats(0, 1)
STACK_GATES = st.builds(
    StackGates,
    data=st.dictionaries(st.sampled_from(sorted(DATA_GATES)), SHARES, max_size=3),
    model=st.dictionaries(st.sampled_from(sorted(MODEL_GATES)), SHARES, max_size=4),
    checks=st.fixed_dictionaries({}, optional={"positive": st.text(max_size=5), "photos": st.integers(0, 500)}),
)
GATES = st.sampled_from([*MODEL_GATES.values(), *DATA_GATES.values()])


@given(STACK_GATES)
def test_gates_survive_the_way_through_configuration_and_outputs(gates: StackGates) -> None:
    assert StackGates.from_dict(json.loads(json.dumps(gates.to_dict()))) == gates


def test_counts_that_pulumi_carried_as_floats_are_counts_again() -> None:
    photos = StackGates.from_dict({"data": {}, "model": {}, "checks": {"photos": 40.0}}).checks["photos"]
    assert (photos, type(photos)) == (40, int)


@pytest.mark.parametrize(
    ("part", "values", "told"),
    [
        ("model", {"acuracy": 0.9}, "model.acuracy is not a known gate; available: accuracy, recall, slice_gap"),
        ("model", {"accuracy": "0.9"}, "model.accuracy is '0.9'; expected a number from 0 to 1"),
        ("model", {"accuracy": True}, "model.accuracy is True; expected a number"),
        ("model", {"accuracy": 97}, "model.accuracy is 97; expected a number from 0 to 1"),
        ("model", {"recall": -0.1}, "model.recall is -0.1; expected a number from 0 to 1"),
        ("model", {"luck": float("nan")}, "model.luck is nan; expected a number from 0 to 1"),
        ("model", {"milliseconds": -1}, "model.milliseconds is -1; expected a number of 0 or above"),
        ("model", {"milliseconds": float("inf")}, "model.milliseconds is inf; expected a number"),
        ("model", [0.9], r"model is \[0.9\]; expected a map"),
        ("checks", {"photo": 40}, "checks.photo is not a known check; available: positive, false_positive_cost"),
        ("checks", {"photos": 4.5}, "checks.photos is 4.5; expected a whole number"),
        ("checks", {"positive": 1}, "checks.positive is 1; expected a text"),
        ("checks", {"false_negative_cost": -1}, "checks.false_negative_cost is -1; expected a number of 0 or above"),
        ("data", {"photos_per_class": 20}, "data.photos_per_class is not a known gate of data; available: label_noise"),
        ("data", {"unclear": "few"}, "data.unclear is 'few'; expected a number from 0 to 1"),
        ("data", {"hours": 25}, "data.hours is 25; expected a number from 0 to 24"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(part: str, values: Any, told: str) -> None:
    with pytest.raises(GatesInvalid, match=told):
        StackGates.from_dict({**StackGates().to_dict(), part: values})


def test_one_error_tells_everything_that_is_wrong() -> None:
    with pytest.raises(GatesInvalid) as refused:
        StackGates.from_dict({"data": {"x": ""}, "model": {"recall": 2, "speed": 1}, "checks": {"calls": "all"}})
    assert [problem.split()[0] for problem in refused.value.problems] == [
        "data.x", "model.recall", "model.speed", "checks.calls",
    ]  # fmt: skip


@pytest.mark.parametrize("values", [{}, {"model": {}}, {"data": {}, "model": {}, "checks": {}, "people": {}}])
def test_all_three_parts_are_there_and_no_other(values: dict[str, Any]) -> None:
    with pytest.raises(GatesInvalid, match="expected data, model, checks"):
        StackGates.from_dict(values)


@given(GATES, SHARES, SHARES)
def test_of_two_values_at_most_one_is_looser(gate: Any, one: float, other: float) -> None:
    assert gate.loosens(one, other) + gate.loosens(other, one) == (one != other)


@given(GATES, SHARES, SHARES, SHARES)
def test_what_is_looser_than_a_looser_value_is_looser(gate: Any, one: float, two: float, three: float) -> None:
    if gate.loosens(one, two) and gate.loosens(two, three):
        assert gate.loosens(one, three)


def test_a_gate_that_asks_for_nothing_is_looser_than_any() -> None:
    gate = MODEL_GATES["milliseconds"]
    assert gate.stricter is Stricter.LOWER
    assert gate.loosens(5.0, 0.0)
    assert not gate.loosens(0.0, 5.0)
    assert not gate.loosens(5.0, 4.0)


def test_metrics_tell_which_gates_a_version_met_and_which_it_failed() -> None:
    metrics = {"accuracy": 0.0, "gate_accuracy": 1.0, "gate_recall": 0.0}
    assert judged(metrics) == {"accuracy": True, "recall": False}
    assert failed(metrics) == ("recall",)
    assert judged({"accuracy": 0.9}) == {}
