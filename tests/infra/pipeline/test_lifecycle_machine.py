"""The state machine `pipeline` in the interpreter: every path from a dataset to an end state."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.pipeline.lifecycle import lifecycle_machine
from tests.infra.pipeline.asl_interpreter import Refused, run
from tests.infra.pipeline.lifecycle_jobs import DATASET, DIGEST, ENDS, GOOD, Jobs, certificate, facts, play


def test_a_dataset_becomes_a_version_that_answers_in_prod():
    jobs = Jobs()
    end = play(jobs)
    assert end.status == "SUCCEEDED", end
    assert end.output == {
        "dataset": DATASET,
        "version": 7,
        "digest": DIGEST,
        "report": "s3://store/report.html",
        "usd": 3.5,
    }
    assert [state for state, _ in jobs.started] == list(GOOD)
    assert {given["purpose"]: given["machine"] for _, given in jobs.started} == {
        "dataset": "small",
        "train": "training",
        "move": "small",
        "application-test": "small",
        "canary": "small",
        "read-back": "small",
    }
    assert jobs.of("MoveTest")[0]["inputs"]["channel"] == "test"
    assert jobs.of("MoveProd")[0]["inputs"] == {
        "version": 7,
        "digest": DIGEST,
        "channel": "prod",
        "why": "pipeline an-execution: certified",
    }
    assert len(jobs.mails) == 1
    assert "version 7" in jobs.mails[0]["Subject"]
    assert "petpark certify 7" in jobs.mails[0]["Message"]


def test_equal_inputs_are_the_same_job_and_others_are_not():
    first, again, other = Jobs(), Jobs(), Jobs()
    play(first)
    play(again)
    play(other, rounds=("epochs=3",))
    assert first.of("Train")[0]["job"] == again.of("Train")[0]["job"] != other.of("Train")[0]["job"]
    assert first.of("CheckDataset")[0]["job"] == other.of("CheckDataset")[0]["job"]
    ids = [given["job"] for _, given in first.started]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("stage", "outcome"), ENDS)
def test_a_refusal_is_a_named_end_with_the_reason(stage: str, outcome: str):
    end = play(Jobs(**dict[str, Any]({stage: outcome})))
    assert (end.status, end.error) == ("FAILED", ENDS[stage, outcome])
    assert "because" in end.cause


@pytest.mark.parametrize("stage", GOOD)
@pytest.mark.parametrize("error", ["NoCapacity", "SpendCap", "CodeFailed", "TooManyAttempts"])
def test_a_job_that_fails_ends_the_pipeline_with_its_own_error_and_the_stage(stage: str, error: str):
    end = play(Jobs(**dict[str, Any]({stage: f"!{error}"})))
    assert end.error == error
    assert end.cause == f'{stage}: log: "x"'


def test_a_job_whose_execution_was_stopped_ends_the_pipeline_as_cancelled_in_a_sentence():
    described = {"Status": "ABORTED", "Name": "train-7460-79aed6335116", "Input": '{"job": "train-7460"}'}

    class Stopped(Jobs):
        def _job(self, state: str, arguments: Mapping[str, Any]) -> Any:
            if state == "Train":
                raise Refused("States.TaskFailed", json.dumps(described))
            return super()._job(state, arguments)

    end = play(Stopped())
    assert end.error == "Cancelled"
    assert end.cause == (
        "Train: its execution train-7460-79aed6335116 ended as ABORTED: somebody cancelled the job, or stopped the "
        "execution; petpark jobs list shows who"
    )


def test_only_a_pipeline_that_somebody_forces_does_cancelled_jobs_again():
    for forced, again in (({}, False), ({"force": "retry-2"}, True)):
        jobs = Jobs()
        run(lifecycle_machine.definition(facts()), {"dataset": DATASET, **forced}, jobs, machine="pipeline")
        assert {each["again"] for _, each in jobs.started} == {again}


def test_a_refused_gate_trains_again_with_other_settings_and_may_pass_then():
    jobs = Jobs(Train=["refused", "refused", "published"])
    end = play(jobs, rounds=("", "epochs=40", "epochs=80 learning_rate=0.001"))
    assert end.status == "SUCCEEDED"
    trained = [given["inputs"]["settings"] for given in jobs.of("Train")]
    assert trained == [[], ["epochs=40"], ["epochs=80", "learning_rate=0.001"]]
    assert play(Jobs(Train="refused"), rounds=("", "epochs=40")).error == "GateRefused"


def test_certification_is_reminded_of_and_expires():
    jobs = Jobs(silent=2)
    assert play(jobs, reminder_hours=24, certification_days=3).status == "SUCCEEDED"
    assert len(jobs.mails) == 3
    assert "Reminder 2" in jobs.mails[-1]["Message"]
    end = play(Jobs(silent=3), reminder_hours=24, certification_days=3)
    assert end.error == "CertificationExpired"
    assert play(Jobs(decision="refused")).error == "CertificationRefused"


def test_a_version_that_is_decided_already_needs_no_further_decision():
    jobs = Jobs(decision="refused")  # nobody is asked, so nobody answers this
    jobs.signed = certificate(1, decision="refused") | certificate(2)
    end = play(jobs)
    assert (end.status, jobs.mails) == ("SUCCEEDED", [])
    assert end.path[end.path.index("TestVerdict") + 1 :][:5] == [
        *("FindDecision", "DecisionFound", "ReadDecision", "Decided", "Certified")
    ]
    assert jobs.of("MoveProd"), "which verifies the signature"
    jobs = Jobs()
    jobs.signed = certificate(1) | certificate(2, decision="refused", expires_at=None)
    assert (play(jobs).error, jobs.mails) == ("CertificationRefused", [])


@pytest.mark.parametrize(
    "signed",
    [
        {},
        certificate(days=-1 / 86_400),
        certificate(digest="sha256:" + "ef" * 32),
        certificate(decision="revoked"),
        certificate(1) | certificate(2, decision="revoked"),
        {key.replace("00000007", "00000070"): body for key, body in certificate().items()},
        dict.fromkeys(certificate(), "{}"),
        dict.fromkeys(certificate(), "not JSON"),
        dict.fromkeys(certificate(), '{"payload": "bm90IEpTT04="}'),
    ],
    ids=[
        "none",
        "expired",
        "other bytes",
        "revoked",
        "revoked later",
        "other version",
        "empty",
        "no JSON",
        "no payload",
    ],
)
def test_a_decision_that_is_not_valid_now_is_requested(signed: dict[str, str]):
    jobs = Jobs()
    jobs.signed = signed
    assert play(jobs).status == "SUCCEEDED"
    assert len(jobs.mails) == 1


def test_a_listing_without_its_end_does_not_show_the_newest_decision():
    jobs = Jobs()
    jobs.signed, jobs.listing = certificate(), {"IsTruncated": True}
    play(jobs)
    assert len(jobs.mails) == 1


def test_a_decision_signed_before_the_wait_began_ends_it_instead_of_a_reminder():
    class Late(Jobs):
        def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
            if state == "WaitForCertification":
                self.signed = certificate()  # after FindDecision, and before there was a token to answer
            return super().__call__(state, arguments)

    jobs = Late(silent=9)
    assert (play(jobs).status, len(jobs.mails)) == ("SUCCEEDED", 1)


def test_a_certification_expires_at_the_first_reminder_after_its_days_and_each_wait_says_when():
    jobs = Jobs(silent=2)
    assert play(jobs, reminder_hours=30, certification_days=3).status == "SUCCEEDED"
    assert play(Jobs(silent=3), reminder_hours=30, certification_days=3).error == "CertificationExpired"
    # All states of the interpreter are entered at the same time; each earlier wait took 30 hours.
    assert [each[:16] for each in jobs.expiries] == ["2026-12-04T08:00", "2026-12-03T02:00", "2026-12-01T20:00"]


def test_without_a_stack_for_prod_the_pipeline_ends_with_the_certificate():
    jobs = Jobs()
    end = play(jobs, prod_stack=None)
    assert end.status == "SUCCEEDED"
    assert [state for state, _ in jobs.started] == ["CheckDataset", "Train", "MoveTest", "ApplicationTest"]


def test_a_dataset_that_is_not_there_ends_before_anything_is_launched():
    jobs = Jobs()
    assert play(jobs, dataset="ef" * 32).error == "DatasetMissing"
    assert play(jobs, dataset="3fa9").error == "InputInvalid"
    assert jobs.started == []


def test_what_is_left_of_the_executions_cap_is_the_next_jobs():
    jobs = Jobs()
    play(jobs, job_usd=2, execution_usd=3)
    assert [given["usd"] for _, given in jobs.started] == [2, 2, 2, 1.5, 1, 0.5, 0]


def test_the_best_trial_by_its_lower_bound_is_trained():
    jobs = Jobs()
    jobs.scores = {"learning_rate=0.1": None, "learning_rate=0.01": 0.7, "learning_rate=0.001": 0.8}
    end = play(jobs, search=tuple(jobs.scores), rounds=("epochs=9",))
    assert end.status == "SUCCEEDED", end
    assert jobs.of("Train")[0]["inputs"]["settings"] == ["learning_rate=0.001", "epochs=9"]
    assert {given["inputs"]["dataset"] for given in jobs.of("Trial")} == {DATASET}
    assert play(_failing(jobs.scores), search=tuple(jobs.scores)).error == "SearchFailed"


def test_equal_searches_are_the_same_study_and_others_are_not():
    def study(**changes: Any) -> str:
        jobs = Jobs()
        jobs.scores = {"learning_rate=0.1": 0.5, "learning_rate=0.2": 0.5}
        play(jobs, **dict[str, Any]({"search": tuple(jobs.scores), **changes}))
        (given,) = jobs.studies
        return given["study"]

    assert study() == study(search_parallel=5, rounds=("epochs=9",))
    assert study() != study(search=("learning_rate=0.2", "learning_rate=0.1"))
    assert study() != study(recipe="gpu")


def _failing(scores: Mapping[str, Any]) -> Jobs:
    jobs = Jobs()
    jobs.scores = dict.fromkeys(scores)
    return jobs


def test_halving_gives_the_best_third_three_times_the_epochs():
    rates = [f"learning_rate=0.{number}" for number in range(1, 10)]
    jobs = Jobs()
    jobs.scores = {
        f"{rate} epochs={epochs}": number / 10 for number, rate in enumerate(rates) for epochs in (10, 30, 90)
    }
    end = play(jobs, search=tuple(rates), search_epochs=90, month_usd=900, execution_usd=900)
    assert end.status == "SUCCEEDED", end
    epochs = [given["inputs"]["settings"][-1] for given in jobs.of("Trial")]
    assert [epochs.count(f"epochs={each}") for each in (10, 30, 90)] == [9, 3, 1]
    assert jobs.of("Train")[0]["inputs"]["settings"] == ["learning_rate=0.9"]


@settings(max_examples=30)
@given(st.fixed_dictionaries({stage: st.sampled_from([good, "refused", "rejected", "!CodeFailed"])
                              for stage, good in GOOD.items()}),
       st.booleans(), st.integers(0, 5), st.sampled_from(["certified", "refused"]))  # fmt: skip
def test_whatever_its_jobs_come_to_a_pipeline_ends_by_name(
    outcomes: Mapping[str, str], prod: bool, silent: int, decision: str
):
    end = play(
        Jobs(decision=decision, silent=silent, **outcomes),
        prod_stack="prod" if prod else None,
        certification_days=4,
    )
    good = all(outcomes[stage] == GOOD[stage] for stage in (GOOD if prod else list(GOOD)[:4]))
    assert (end.status == "SUCCEEDED") == (good and silent < 4 and decision == "certified")
    assert end.status == "SUCCEEDED" or end.error in {
        *ENDS.values(),
        "CodeFailed",
        "CertificationExpired",
        "CertificationRefused",
    }
