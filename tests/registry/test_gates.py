"""What a stack may ask, as its configuration says it, and which way is stricter."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.gates import (
    DATA_GATES,
    MODEL_GATES,
    GatesInvalid,
    StackGates,
    State,
    Stricter,
    failed,
    figures,
    judged,
    open_gates,
    states,
)

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


def test_each_gate_is_stricter_in_its_own_direction_up_to_its_own_end() -> None:
    """What is measured against a limit: at least, or at most; the largest limit; and the limit that turns it off."""
    higher = {
        "accuracy": 1, "recall": 1, "consistency": 1, "abstention_coverage": 1, "abstention_kept": 1,
        "abstention_refused_far": 1, "abstention_refused_near": 1, "luck": 1, "rarest_class": 1, "hours": 24,
    }  # fmt: skip
    lower = {
        "slice_gap": 1, "calibration_error": 1, "robustness_drop": 1, "milliseconds": math.inf, "label_noise": 1,
        "without_camera": 1, "without_time": 1, "unusable": 1, "near_duplicates": 1, "contradictions": 1,
        "camera_bias": 1, "leaks": math.inf, "unclear": 1, "greyscale": 1, "unlike": 1, "days": math.inf,
    }  # fmt: skip
    gates = {**MODEL_GATES, **DATA_GATES}
    assert {name: gate.most for name, gate in gates.items() if gate.stricter is Stricter.HIGHER} == higher
    assert {name: gate.most for name, gate in gates.items() if gate.stricter is Stricter.LOWER} == lower
    assert {name for name, gate in gates.items() if gate.off is not None} == {"milliseconds", "days"}
    for name, gate in gates.items():
        assert gate.meets(0.5, 0.5)
        assert gate.meets(0.6, 0.5) is (name in higher)
        assert gate.meets(0.4, 0.5) is (name in lower)
        end = 0.0 if name in higher or gate.off == 0 else gate.most
        assert gate.is_off(end)
        assert not gate.is_off(0.5)
        assert gate.takes(0.0)
        assert gate.takes(min(gate.most, 1e9))
        assert not any(map(gate.takes, (-0.001, gate.most + 0.001, math.inf, math.nan)))


def test_each_data_gate_says_what_it_limits_in_which_unit_and_of_which_characteristic() -> None:
    units = {name: gate.unit for name, gate in DATA_GATES.items() if gate.unit != "%"}
    assert units == {"hours": " h", "camera_bias": "", "leaks": " pairs", "days": " days"}
    assert all(gate.what for gate in DATA_GATES.values())
    by_kind: dict[str, set[str]] = {}
    for name, gate in DATA_GATES.items():
        by_kind.setdefault(gate.characteristic, set()).add(name)
    assert by_kind == {
        "accuracy": {"label_noise"},
        "completeness": {"rarest_class", "hours", "without_camera", "without_time"},
        "reliability": {"unusable", "near_duplicates", "contradictions", "camera_bias", "leaks"},
        "relevance": {"unclear", "greyscale", "unlike"},
        "timeliness": {"days"},
    }


def test_metrics_tell_what_stands_against_a_version_and_why() -> None:
    metrics = {"accuracy": 0.9, "gate_recall": 1.0, "gate_luck": 0.0, "gate_accuracy": 0.0, "unmeasured_luck": 1.0}
    assert states(metrics) == {"recall": State.PASSED, "luck": State.UNMEASURED, "accuracy": State.FAILED}
    assert list(open_gates(metrics).items()) == [("accuracy", "failed"), ("luck", "not measured")]
    assert figures(metrics) == {"accuracy": 0.9}
    assert open_gates({"gate_recall": 1.0}) == {}
    assert open_gates({"recall": 1.0}) == {"all": "no gate was checked"}
    assert states({"gate_recall": 0.0, "unmeasured_recall": 0.0}) == {"recall": State.FAILED}


def test_gates_become_a_plain_object_with_all_three_parts() -> None:
    gates = StackGates(data={"leaks": 3}, model={"recall": 0.5}, checks={"calls": 4})
    assert gates.to_dict() == {"data": {"leaks": 3}, "model": {"recall": 0.5}, "checks": {"calls": 4}}
