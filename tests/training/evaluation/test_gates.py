"""A gate takes the bound that is against the model, and says by how much and what to try."""

import itertools
from collections.abc import Callable
from dataclasses import asdict, fields, replace

import pytest

import registry.gates
from registry.gates import DATA_GATES, MODEL_GATES, ModelChecks, ModelGates, State, failed, figures, states
from tests.training.evaluation.reporting.test_report import assessment
from training.errors import SpecMalformed
from training.evaluation.assess import Assessment
from training.evaluation.baseline.comparison import Comparison
from training.evaluation.figures.latency import Latency
from training.evaluation.gates import MEASURED, GateResult, as_metrics, judge
from training.plan import Checks, DataGates, Gates
from training.quality.findings import Name

GOOD = assessment(95, 100)


def gate(name: str, gates: Gates, what: Assessment = GOOD) -> GateResult:
    return next(result for result in judge(gates, what) if result.name == name)


def compared(only_ours: int, only_theirs: int) -> Assessment:
    from training.evaluation.figures.significance import mcnemar

    p_value = mcnemar(only_ours, only_theirs)
    shares = {"accuracy": 0.9, "only_ours": only_ours, "only_theirs": only_theirs}
    return replace(GOOD, comparison=Comparison(version=7, photos=100, p_value=p_value, **shares))  # pyright: ignore[reportArgumentType]


def test_accuracy_is_held_by_its_lower_bound():
    low, _ = GOOD.evaluation.accuracy_interval
    assert low < GOOD.evaluation.accuracy
    assert gate("accuracy", Gates(accuracy=low)).passed
    found = gate("accuracy", Gates(accuracy=low + 0.021))
    assert not found.passed
    assert found.why == "2.1 points missing"
    assert "photos" in found.advice


@pytest.mark.parametrize(
    ("name", "bound", "sign"),
    [
        ("recall", lambda it: min(each.recall_interval[0] for each in it.evaluation.classes), -1),
        ("slice_gap", lambda it: max(each.gap_interval[1] for each in it.slices), 1),
        ("calibration_error", lambda it: it.calibration.error, 1),
        ("robustness_drop", lambda it: it.robustness.drop_interval[1], 1),
        ("consistency", lambda it: it.consistency.interval[0], -1),
    ],
)
def test_each_gate_turns_at_its_bound(name: str, bound: Callable[[Assessment], float], sign: int):
    limit = bound(GOOD)
    assert gate(name, replace(Gates(), **{name: limit})).passed
    missed = gate(name, replace(Gates(), **{name: limit - sign * 0.004}))
    assert not missed.passed
    assert missed.why.startswith("0.4 points")
    assert missed.advice


def test_being_worse_than_prod_counts_only_beyond_luck():
    assert "not_worse_than_prod" not in {result.name for result in judge(Gates(), GOOD)}
    assert gate("not_worse_than_prod", Gates(), compared(3, 8)).passed
    assert gate("not_worse_than_prod", Gates(), compared(20, 2)).passed
    found = gate("not_worse_than_prod", Gates(), compared(2, 20))
    assert not found.passed
    assert "--weights 7" in found.advice


def test_a_gate_that_cannot_be_measured_counts_against_the_version_and_says_why():
    other = replace(GOOD, comparison=Comparison(version=7, photos=0, unmeasured="version 7 in prod has other classes"))
    found = gate("not_worse_than_prod", Gates(), other)
    assert (found.passed, found.measured, found.found) == (False, False, "not measured")
    assert found.why == "version 7 in prod has other classes"
    assert "petpark test" in found.advice
    whole = gate("slice_gap", Gates(), replace(GOOD, slices=()))
    assert (whole.passed, whole.measured) == (False, False)
    metrics = as_metrics(judge(Gates(), replace(other, slices=())))
    against = {name for name, state in states(metrics).items() if state is State.UNMEASURED}
    assert against == {"slice_gap", "not_worse_than_prod"} == set(failed(metrics))
    assert figures({**metrics, "accuracy": 1}) == {"accuracy": 1}


def test_a_gate_that_asks_for_nothing_needs_no_measure():
    other = replace(GOOD, slices=(), comparison=Comparison(version=7, photos=0, unmeasured="because"))
    names = {result.name for result in judge(Gates(luck=0, slice_gap=1), other)}
    assert not names & {"slice_gap", "not_worse_than_prod"}


def test_a_model_that_went_on_from_prod_and_lost_by_it_is_not_advised_to_begin_there():
    again = compared(2, 20)
    assert again.comparison is not None
    found = gate("not_worse_than_prod", Gates(), replace(again, comparison=replace(again.comparison, continued=True)))
    assert "--weights" not in found.advice
    assert "went on from its weights" in found.advice


def test_latency_is_asked_only_where_somebody_wants_it():
    slow = replace(GOOD, latency=Latency(calls=1, p50=1, p99=12))
    assert "milliseconds" not in {result.name for result in judge(Gates(), slow)}
    assert gate("milliseconds", Gates(milliseconds=10), slow).why == "2.00 ms too slow"
    assert gate("milliseconds", Gates(milliseconds=12), slow).passed


def test_the_metrics_of_a_version_tell_what_it_failed():
    results = judge(Gates(accuracy=1), GOOD)
    assert failed(as_metrics(results) | {"accuracy": 0}) == ("accuracy",)
    assert set(as_metrics(results).values()) == {0, 1}


def test_settings_change_gates_by_name():
    assert Gates().with_settings(["accuracy=0.97"]).accuracy == 0.97
    assert Checks().with_settings(["positive=dog", "photos=50", "int8=1"]).positive == "dog"
    with pytest.raises(SpecMalformed, match="slice_gap"):
        Gates().with_settings(["precision=1"])


@pytest.mark.parametrize("field", [field.name for field in fields(Gates)])
def test_what_no_gate_can_mean_is_refused(field: str):
    with pytest.raises(SpecMalformed, match=field):
        Gates().with_settings([f"{field}=-0.1"])
    with pytest.raises(SpecMalformed):
        Gates().with_settings([f"{field}=nan"])


@pytest.mark.parametrize("setting", ["photos=0", "calls=0", "false_positive_cost=-1"])
def test_what_no_check_can_mean_is_refused(setting: str):
    with pytest.raises(SpecMalformed):
        Checks().with_settings([setting])


def test_every_gate_that_a_stack_may_set_is_measured_and_no_other():
    assert set(MODEL_GATES) == MEASURED
    assert {gate.characteristic for gate in DATA_GATES.values()} == {*Name}


def test_a_gate_and_a_check_are_declared_once_and_training_adds_none():
    for declared, used in ((ModelGates, Gates), (registry.gates.DataGates, DataGates), (ModelChecks, Checks)):
        assert asdict(used()) == asdict(declared())


@pytest.mark.parametrize("name", [*MODEL_GATES])
def test_whatever_a_stricter_gate_passes_a_looser_one_passes_too(name: str):
    gate = MODEL_GATES[name]
    assessed = compared(2, 20) if name == "luck" else replace(GOOD, latency=Latency(calls=1, p50=1, p99=3))
    values = [0.0, 0.02, 0.3, 0.7, 1.0, *([2.0, 4.0] if name == "milliseconds" else [])]
    passes = {value: passed(replace(Gates(), **{name: value}), name, assessed) for value in values}
    assert set(passes.values()) == {True, False}, "values on both sides of the bound"
    for held, asked in itertools.product(values, repeat=2):
        if gate.loosens(held, asked):
            assert passes[asked] or not passes[held]
        elif held != asked:
            assert passes[held] or not passes[asked]


def passed(gates: Gates, name: str, what: Assessment) -> bool:
    told = {result.name: result.passed for result in judge(gates, what)}
    return told.get("not_worse_than_prod" if name == "luck" else name, True)
