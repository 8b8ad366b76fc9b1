"""A study's records, and which trials come next when halving."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.training.conftest import ASKER
from training.errors import SpecMalformed
from training.hyper_parameters import HyperParameters
from training.job import JobSpec
from training.search.budget import Budget
from training.search.space import Space
from training.search.study import Launch, Study, Trial, check_halving, parameters, plan, rungs, spec_of

STUDY = Study(
    spec=JobSpec(dataset="d" * 64, seed=3, requested_by=ASKER, hyper_parameters=HyperParameters(epochs=18)),
    space=Space(random=("learning_rate=log:1e-4..1e-2",)),
    trials=9,
    metric="balanced_accuracy",
    rungs=3,
    parallel=2,
    budget=Budget(max_hours=1.5, max_usd=3.0, usd_per_hour=0.5),
    created_at="2026-08-02T10:15:00.000000Z",
)


@pytest.mark.parametrize(
    "record", [STUDY, Trial(number=4, rung=2, parent=1, values={"mixup": "0.1"}), Launch(trial=3, seconds=60)]
)
def test_records_are_read_as_they_were_written(record: Study | Trial | Launch) -> None:
    assert type(record).from_json(record.to_json()) == record
    with pytest.raises(SpecMalformed):
        type(record).from_json(record.to_json().replace(b'"', b'"x', 1))


def test_a_job_says_of_which_study_it_is_a_trial_and_others_read_as_before() -> None:
    trial = plan(STUDY, {})[0]
    spec = spec_of(STUDY, "20260802-101500-3fa9", trial)
    assert JobSpec.from_json(spec.to_json()) == spec
    assert spec.hyper_parameters.learning_rate == float(trial.values["learning_rate"])
    assert b"study" not in STUDY.spec.to_json()
    assert JobSpec.from_json(STUDY.spec.to_json()) == STUDY.spec


def test_halving_gives_the_best_third_three_times_the_epochs() -> None:
    first = plan(STUDY, {})
    assert [(trial.rung, parameters(STUDY, trial).epochs) for trial in first] == [(1, 2)] * 9
    scores: dict[int, float | None] = {number: number / 10 for number in range(1, 10)}
    scores[9] = None  # failed
    second = plan(STUDY, scores)[9:]
    assert [(trial.number, trial.parent) for trial in second] == [(10, 8), (11, 7), (12, 6)]
    assert {parameters(STUDY, trial).epochs for trial in second} == {6}
    assert second[0].values["learning_rate"] == first[7].values["learning_rate"]
    (last,) = plan(STUDY, {**scores, 10: 0.5, 11: 0.9, 12: None})[12:]
    assert (last.number, last.parent, parameters(STUDY, last).epochs) == (13, 11, 18)


@settings(max_examples=examples(40))
@given(st.dictionaries(st.integers(1, 13), st.none() | st.floats(0, 1)))
def test_a_rung_waits_for_the_one_before_and_what_was_planned_stays(scores: dict[int, float | None]) -> None:
    found = plan(STUDY, scores)
    assert [trial.number for trial in found] == list(range(1, len(found) + 1))
    assert plan(STUDY, {})[:9] == found[:9]
    if not scores.keys() >= set(range(1, 10)):
        assert len(found) == 9
    elif all(scores[number] is None for number in range(1, 10)):
        assert len(found) == 9, "nothing goes on where nothing succeeded"


@given(st.integers(1, 10**4), st.integers(1, 10**4))
def test_there_are_as_many_rungs_as_trials_and_epochs_allow(trials: int, epochs: int) -> None:
    count = rungs(trials, epochs)
    assert 3 ** (count - 1) <= min(trials, epochs) < 3**count


def test_what_cannot_be_halved_is_refused() -> None:
    check_halving(STUDY)
    with pytest.raises(SpecMalformed, match="epochs"):
        check_halving(replace(STUDY, space=Space(grid=("epochs=3,6",))))
    with pytest.raises(SpecMalformed, match="at least 3"):
        check_halving(replace(STUDY, rungs=1))
