"""A study on paper: which trials run, what they may cost, which is best."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline import study_machine
from infra.pipeline.job.facts import END_SECONDS
from registry.halving import ETA, number_of, place, rung_epochs
from tests.infra.pipeline.asl_interpreter import Ended, Refused, ended_execution, evaluate, run
from training.search.choice import Score, ranked

STUDY = "20261130-120000-3fa9"
USD_PER_HOUR = 1.2
SECONDS = 600


def facts(**changes: Any) -> study_machine.StudyFacts:
    return study_machine.StudyFacts(
        job="arn:aws:states:eu-west-1:000000000000:stateMachine:job:live",
        workspace="workspace",
        usd_per_hour=USD_PER_HOUR,
        settings=PipelineSettings(**changes),
    )


PRICE = USD_PER_HOUR * (PipelineSettings().boot_seconds + SECONDS + END_SECONDS) / 3600


def study(trials: int, **changes: Any) -> dict[str, Any]:
    """An input of so many trials."""
    return {
        "study": STUDY,
        "requested_by": "arn:alice",
        "pipeline": None,
        "common": {},
        "trials": [{"setting": n, "settings": [f"learning_rate=0.{n}"]} for n in range(1, trials + 1)],
        "rungs": [],
        "known": {},
        "metric": "accuracy",
        "parallel": 2,
        "max_seconds": SECONDS,
        "usd": 40,
        "publish": False,
        **changes,
    }


class Jobs:
    """Answers a study's tasks. `lows` are the trials' lower bounds, None for one that fails; 0.5 where it is silent."""

    def __init__(
        self, lows: Mapping[int, float | None] | None = None, costs: Mapping[int, float] | None = None
    ) -> None:
        self.lows = dict(lows or {})
        self.costs = dict(costs or {})
        """Share of what it may cost that a trial costs."""
        self.started: list[Mapping[str, Any]] = []
        self.spent = 0.0
        self.books: dict[str, int] = {}

    def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
        if state == "Books":
            found = [
                {"Key": f"{prefix}1/paid/{micros}"}
                for prefix, micros in self.books.items()
                if prefix == arguments["Prefix"]
            ]
            return {"KeyCount": len(found)} | ({"Contents": found} if found else {})
        assert state in {"Trial", "TrainBest"}
        assert len(arguments["Name"]) <= 80
        given = arguments["Input"]
        self.started.append(given)
        if state == "TrainBest":
            return ended_execution(arguments, {"outcome": "published", "version": 7, "usd": 1})
        number = given["inputs"]["trial"]
        usd = given["usd"] * self.costs.get(number, 0.1)
        self.spent += usd
        low = self.lows.get(number, 0.5)
        if low is None:
            self.books[f"spending/2026-11/{arguments['Name']}."] = int(usd * 1_000_000)
            raise Refused("States.TaskFailed", json.dumps({"Error": "CodeFailed", "Cause": "diverged"}))
        return ended_execution(arguments, {"usd": usd, "metrics": {"accuracy_low": low, "accuracy": 0.9}})

    def numbers(self) -> list[int]:
        """Of the trials that were started, in order."""
        return [given["inputs"]["trial"] for given in self.started if given["purpose"] == "trial"]


def play(jobs: Jobs, given: Mapping[str, Any], **changes: Any) -> Ended:
    return run(study_machine.definition(facts(**changes)), given, jobs, machine="study", name=STUDY)


def test_every_trial_is_a_job_of_the_study_and_the_best_lower_bound_wins() -> None:
    jobs = Jobs({1: 0.6, 2: 0.8, 3: None})
    end = play(jobs, study(3))
    assert end.status == "SUCCEEDED", end
    assert end.output["best"] == 2
    assert end.output["settings"] == ["learning_rate=0.2"]
    assert (end.output["outcome"], end.output["left"], end.output["published"]) == ("complete", [], {})
    assert [(one["job"], one["purpose"], one["machine"]) for one in jobs.started] == [
        (f"{STUDY}-00000{n}", "trial", "training") for n in (1, 2, 3)
    ]
    assert jobs.started[0]["inputs"] == {"study": STUDY, "trial": 1, "settings": ["learning_rate=0.1"]}
    assert jobs.started[0]["requested_by"] == "arn:alice"
    assert evaluate(_trials()["MaxConcurrency"], {}, end.variables) == 2


def _trials() -> Mapping[str, Any]:
    return study_machine.definition(facts())["States"]["Trials"]


def test_the_best_is_trained_to_be_published_with_all_of_its_settings_where_somebody_wants_it() -> None:
    jobs = Jobs({7: 0.9})
    end = play(jobs, study(3, publish=True, rungs=[3, 9]), job_usd=4)
    last = jobs.started[-1]
    assert (last["job"], last["purpose"], last["usd"]) == (f"{STUDY}-best", "train", 4)
    best = end.output["best"]
    assert last["inputs"]["settings"] == [f"learning_rate=0.{place(best, 3)[0]}", f"epochs={3 if best <= 3 else 9}"]
    assert end.output["published"]["version"] == 7


def test_a_training_of_the_best_that_fails_is_the_studys_end_with_its_own_error() -> None:
    class Failing(Jobs):
        def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
            if state == "TrainBest":
                raise Refused("States.TaskFailed", json.dumps({"Error": "SpendCap", "Cause": "the month's"}))
            return super().__call__(state, arguments)

    end = play(Failing(), study(1, publish=True))
    assert (end.error, end.cause) == ("SpendCap", f"Job {STUDY}-best: the month's")


def test_without_a_success_the_study_ends_with_the_reasons() -> None:
    end = play(Jobs({1: None, 2: None}), study(2))
    assert (end.status, end.error) == ("FAILED", "SearchFailed")
    assert "CodeFailed" in end.cause


@pytest.mark.parametrize("usd", [0, PRICE * 0.99])
def test_a_budget_below_one_trial_starts_none(usd: float) -> None:
    jobs = Jobs()
    end = play(jobs, study(2, usd=usd))
    assert (end.error, jobs.started) == ("SearchFailed", [])
    assert "one may cost" in end.cause


@pytest.mark.parametrize(
    "wrong",
    [
        {"study": "Ä"},
        {"study": "a" * 51},
        {"trials": []},
        {"trials": [{"setting": 1, "settings": []}] * 201},
        {"known": None},
        {"parallel": 0},
        {"max_seconds": "600"},
        {"usd": None},
        {"metric": 1},
    ],
)
def test_an_input_that_cannot_be_used_starts_nothing(wrong: Mapping[str, Any]) -> None:
    jobs = Jobs()
    assert play(jobs, study(2) | dict(wrong)).error == "InputInvalid"
    assert jobs.started == []


LOWS = st.dictionaries(st.integers(1, 40), st.one_of(st.none(), st.sampled_from([0.1, 0.4, 0.7, 0.9])))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), LOWS, st.dictionaries(st.integers(1, 9), st.floats(0, 1)), st.floats(PRICE, 12 * PRICE))
def test_a_study_never_spends_more_than_its_budget_and_stops_only_where_it_allows_no_other(
    trials: int, lows: Mapping[int, float | None], costs: Mapping[int, float], usd: float
) -> None:
    jobs = Jobs(lows, costs)
    end = play(jobs, study(trials, usd=usd), job_usd=50)
    assert jobs.spent <= usd + 1e-6
    assert all(given["usd"] >= PRICE for given in jobs.started), "a trial's own cap allows its first attempt"
    left = trials - len(jobs.started)
    assert not left or usd - jobs.spent < PRICE + 1e-4
    if end.status == "SUCCEEDED":
        assert end.output["left"] == list(range(trials - left + 1, trials + 1))
        assert end.output["outcome"] == ("budget" if left else "complete")


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 14), st.integers(0, 40), LOWS)
def test_rungs_are_those_of_halving_and_the_best_is_the_one_that_people_are_shown(
    trials: int, epochs: int, lows: Mapping[int, float | None]
) -> None:
    """`training.search.choice.ranked` is what the table is made by."""
    jobs, rungs = Jobs(lows, dict.fromkeys(range(60), 0.0)), rung_epochs(trials, epochs)
    end = play(jobs, study(trials, rungs=list(rungs)), execution_usd=300)
    by_rung: dict[int, list[int]] = {}
    for job in jobs.started:
        number = job["inputs"]["trial"]
        setting, rung = place(number, trials)
        assert number_of(setting, rung, trials) == number
        by_rung.setdefault(rung, []).append(number)
        wanted = [f"learning_rate=0.{setting}", *([f"epochs={rungs[rung - 1]}"] if rungs else [])]
        assert job["inputs"]["settings"] == wanted
    scores = {
        number: Score(value=0.9, interval=(low, 1.0))
        for number in jobs.numbers()
        if (low := jobs.lows.get(number, 0.5)) is not None
    }
    for rung in range(2, max(by_rung) + 1):
        before = by_rung[rung - 1]
        kept = ranked({number: scores[number] for number in before if number in scores})[: -(-len(before) // ETA)]
        assert by_rung[rung] == [number_of(place(number, trials)[0], rung, trials) for number in kept]
    if scores:
        assert end.output["best"] == ranked(scores)[0]
        assert max(by_rung) == max(1, len(rungs)) or not set(by_rung[max(by_rung)]) & scores.keys()
    else:
        assert end.error == "SearchFailed"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), LOWS, st.sets(st.integers(1, 12)), st.booleans())
def test_a_study_that_is_resumed_runs_what_has_no_result_and_finds_the_same_best(
    trials: int, lows: Mapping[int, float | None], ended: set[int], halving: bool
) -> None:
    given = study(trials, rungs=list(rung_epochs(trials, 9)) if halving else [])
    whole, rest = Jobs(lows), Jobs(lows)
    at_once = play(whole, given)
    known = {
        str(number): {"score": -1 if low is None else low, "value": -1 if low is None else 0.9}
        for number in ended & set(whole.numbers())
        for low in [whole.lows.get(number, 0.5)]
    }
    resumed = play(rest, given | {"known": known})
    assert sorted(rest.numbers()) == sorted(set(whole.numbers()) - {int(number) for number in known})
    assert (resumed.output and resumed.output["best"]) == (at_once.output and at_once.output["best"])


def test_what_a_failed_trial_cost_counts_and_in_full_where_the_books_do_not_say() -> None:
    class Unread(Jobs):
        def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
            if state == "Books":
                raise Refused("S3.S3Exception", "503")
            return super().__call__(state, arguments)

    usd = 2 * PRICE + 0.01
    for kind, started in ((Jobs, 3), (Unread, 2)):
        jobs = kind({1: None, 2: None}, {1: 0.4, 2: 0.4})
        play(jobs, study(3, usd=usd))
        assert len(jobs.started) == started
