"""The pipeline on paper: every way from a dataset to prod or to a named end."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline import lifecycle_machine
from infra.pipeline.search_states import rung_epochs
from infra.pipeline.stages import LifecycleFacts
from tests.infra.pipeline.asl_interpreter import Ended, Refused, run

DATASET = "ab" * 32
DIGEST = "sha256:" + "cd" * 32
GOOD = {
    "CheckDataset": "passed",
    "Train": "published",
    "MoveTest": "moved",
    "ApplicationTest": "passed",
    "Canary": "promoted",
    "MoveProd": "moved",
    "ReadBack": "passed",
}
ENDS = {
    ("CheckDataset", "refused"): "DatasetRefused",
    ("Train", "refused"): "GateRefused",
    ("MoveTest", "refused"): "MoveRefused",
    ("ApplicationTest", "refused"): "TestRefused",
    ("Canary", "rejected"): "CanaryRejected",
    ("Canary", "undecided"): "CanaryRejected",
    ("MoveProd", "refused"): "MoveRefused",
    ("ReadBack", "refused"): "ReadBackFailed",
}


def facts(**changes: Any) -> LifecycleFacts:
    given: dict[str, Any] = {"canary_percent": 5, **changes}
    return LifecycleFacts(
        job="arn:aws:states:eu-west-1:000000000000:stateMachine:job:live",
        workspace="workspace",
        lake="lake",
        topic="arn:aws:sns:eu-west-1:000000000000:alarms",
        code="ef" * 32,
        gates={"data": {}, "model": {"accuracy": 0.6}, "checks": {}},
        stack="test",
        channel="test",
        settings=PipelineSettings(**given),
    )


class Jobs:
    """Answers the pipeline's tasks: jobs with outcomes, and a person who decides."""

    def __init__(self, *, decision: str = "certified", silent: int = 0, **outcomes: Any) -> None:
        self.outcomes = {name: [value] if isinstance(value, str) else list(value) for name, value in outcomes.items()}
        self.decision = decision
        self.silent = silent
        """Reminders before the person answers."""
        self.started: list[tuple[str, Mapping[str, Any]]] = []
        self.mails: list[Mapping[str, Any]] = []
        self.scores: dict[str, float | None] = {}
        """Score of a trial, by its settings in one text; None fails it."""

    def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
        match state:
            case "FindManifest":
                return {"KeyCount": 1 if arguments["Prefix"] == f"datasets/{DATASET}.jsonl" else 0}
            case "AskForCertification":
                self.mails.append(arguments)
                return {}
            case "WaitForCertification":
                assert arguments["Key"] == "pipelines/an-execution/certification.json"
                assert arguments["Body"]["token"] == "a-token"
                if self.silent:
                    self.silent -= 1
                    raise Refused("States.HeartbeatTimeout")
                return {"decision": self.decision, "by": "arn"}
            case _:
                return self._job(state, arguments)

    def _job(self, state: str, arguments: Mapping[str, Any]) -> Any:
        assert len(arguments["Name"]) <= 80
        given = arguments["Input"]
        self.started.append((state, given))
        output: dict[str, Any] = {"job": given["job"], "result": f"jobs/{given['job']}/result.json", "usd": 0.5}
        if state == "Trial":
            score = self.scores[" ".join(given["inputs"]["settings"])]
            if score is None:
                raise Refused("States.TaskFailed", json.dumps({"Error": "CodeFailed", "Cause": "diverged"}))
            return {"Output": output | {"metrics": {"balanced_accuracy_low": score}}}
        planned = self.outcomes.get(state, [GOOD[state]])
        outcome = planned.pop(0) if len(planned) > 1 else planned[0]
        if outcome.startswith("!"):
            cause = json.dumps({"Status": "FAILED", "Error": outcome[1:], "Cause": 'log: "x"'})
            raise Refused("States.TaskFailed", cause)
        output |= {"outcome": outcome, "message": "because", "report": "s3://store/report.html"}
        return {"Output": output | ({"version": 7, "digest": DIGEST} if state == "Train" else {})}

    def of(self, state: str) -> list[Mapping[str, Any]]:
        """Inputs of the jobs of one stage."""
        return [given for name, given in self.started if name == state]


def play(jobs: Jobs, *, dataset: str = DATASET, **changes: Any) -> Ended:
    return run(lifecycle_machine.definition(facts(**changes)), {"dataset": dataset}, jobs, machine="pipeline")


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
    assert play(_failing(jobs.scores), search=tuple(jobs.scores)).error == "SearchFailed"


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


@given(st.integers(3, 27), st.integers(0, 400))
def test_rungs_have_rising_epochs_and_the_last_has_all_of_them(trials: int, epochs: int):
    found = rung_epochs(trials, epochs)
    assert list(found) == sorted(set(found))
    assert (found[-1:] == (epochs,)) == bool(epochs)
    assert trials >= 3 ** max(0, len(found) - 1)


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
