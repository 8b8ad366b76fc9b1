"""A study's records, and which trials come next when halving."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.training.conftest import REQUESTER
from training.errors import SpecMalformed
from training.hyper_parameters import HyperParameters
from training.job import JobSpec
from training.search.budget import Budget
from training.search.choice import Score
from training.search.space import Space
from training.search.study import Study, Trial, check_halving, first_rung, parameters, plan, spec_of, trial_of

STUDY = Study(
    spec=JobSpec(dataset="d" * 64, seed=3, requested_by=REQUESTER, hyper_parameters=HyperParameters(epochs=18)),
    space=Space(random=("learning_rate=log:1e-4..1e-2",)),
    trials=9,
    metric="balanced_accuracy",
    rungs=3,
    parallel=2,
    budget=Budget(max_hours=1.5, max_usd=3.0),
    created_at="2026-08-02T10:15:00.000000Z",
)


@pytest.mark.parametrize("record", [STUDY, Trial(number=4, rung=2, parent=1, values={"mixup": "0.1"})])
def test_records_are_read_as_they_were_written(record: Study | Trial) -> None:
    assert type(record).from_json(record.to_json()) == record
    with pytest.raises(SpecMalformed):
        type(record).from_json(record.to_json().replace(b'"', b'"x', 1))


def test_a_job_says_of_which_study_it_is_a_trial_and_others_read_as_before() -> None:
    trial = first_rung(STUDY)[0]
    spec = spec_of(STUDY, "20260802-101500-3fa9", trial)
    assert JobSpec.from_json(spec.to_json()) == spec
    assert spec.hyper_parameters.learning_rate == float(trial.values["learning_rate"])
    assert b"study" not in STUDY.spec.to_json()
    assert JobSpec.from_json(STUDY.spec.to_json()) == STUDY.spec


def score(low: float) -> Score:
    return Score(value=0.9, interval=(low, 1.0))


def test_halving_gives_the_best_third_three_times_the_epochs() -> None:
    first = {trial.number: trial for trial in first_rung(STUDY)}
    assert plan(STUDY, {}) == list(first) == list(range(1, 10))
    assert [parameters(STUDY, trial_of(STUDY, first, number)).epochs for number in first] == [2] * 9
    scores: dict[int, Score | None] = {number: score(number / 10) for number in range(1, 10)}
    scores[9] = None  # failed
    second = plan(STUDY, scores)[9:]
    assert second == [9 + 8, 9 + 7, 9 + 6]
    trial = trial_of(STUDY, first, second[0])
    assert (trial.rung, trial.parent, parameters(STUDY, trial).epochs) == (2, 8, 6)
    assert trial.values["learning_rate"] == first[8].values["learning_rate"]
    (last,) = plan(STUDY, {**scores, 17: score(0.5), 16: score(0.9), 15: None})[12:]
    trial = trial_of(STUDY, first, last)
    assert (last, trial.parent, parameters(STUDY, trial).epochs) == (18 + 7, 16, 18)


@settings(max_examples=examples(40))
@given(st.dictionaries(st.integers(1, 27), st.none() | st.floats(0, 1).map(score)))
def test_a_rung_waits_for_the_one_before(scores: dict[int, Score | None]) -> None:
    found = plan(STUDY, scores)
    assert found[:9] == list(range(1, 10))
    assert len(found) == len(set(found))
    if not scores.keys() >= set(range(1, 10)):
        assert len(found) == 9
    elif all(scores[number] is None for number in range(1, 10)):
        assert len(found) == 9, "nothing goes on where nothing succeeded"


def test_what_cannot_be_halved_is_refused() -> None:
    check_halving(STUDY)
    with pytest.raises(SpecMalformed, match="epochs"):
        check_halving(replace(STUDY, space=Space(grid=("epochs=3,6",))))
    with pytest.raises(SpecMalformed, match="at least 3"):
        check_halving(replace(STUDY, rungs=1))
