"""`petpark search`: studies as executions, what people see of them, and what is refused."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from petpark.__main__ import app
from petpark.errors import JobOfStudy
from petpark.jobs import executions
from petpark.search import study_executions
from petpark.search.records import Records, execution_of
from registry.layout.workspace import cancelled_key, table_key, trial_job
from registry.versions.catalog import Catalog
from tests.examples import examples
from tests.petpark.conftest import FakeTarget, Place, Run
from tests.petpark.jobs.states import OUTPUTS
from tests.petpark.search.cloud import ALICE, STUDY, Cloud, finish, waiting
from tests.training.photos import write_photos
from training.job import find_result, load_spec
from training.jobs.run import run_job
from training.search.budget import Budget

TINY = ("--set", "epochs=1", "--set", "image_size=16", "--set", "batch_size=8")


@pytest.fixture
def dataset(run: Run, tmp_path: Path) -> str:
    write_photos(tmp_path / "photos", per_class=24)
    return json.loads(run("data", "ingest", str(tmp_path / "photos"), "--json").stdout)["dataset"]


@pytest.fixture
def instances(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of instances that were terminated; there is one, of whatever is asked for."""
    ended: list[str] = []
    found = {"InstanceId": "i-1", "State": {"Name": "running"}}
    where = "petpark.search.cancellation.training_instances"
    monkeypatch.setattr(f"{where}.of_job", lambda *_: [] if ended else [found])
    monkeypatch.setattr(f"{where}.end", lambda _target, ids: ended.extend(ids))
    return ended


def run_here(target: FakeTarget, job: str) -> None:
    workspace = target.store("workspace")
    with tempfile.TemporaryDirectory() as directory:
        run_job(
            job,
            load_spec(workspace, job),
            workspace=workspace,
            lake=target.store("lake"),
            catalog=Catalog(target.store("models"), "pets"),
            directory=Path(directory),
        )


def test_a_search_trains_every_setting_and_the_best_alone_is_trained_to_be_published(
    run: Run, place: Place, dataset: str, cloud: Cloud
) -> None:
    """Two real trainings. That the same spec gives the same weights is held by `tests/training/jobs/test_trial.py`."""
    cloud.work = lambda target, job: (finish if job.endswith("-best") else run_here)(target, job)
    options = ("--grid", "learning_rate=0.0001,0.01", "--max-hours", "9", "--max-usd", "5", "--watch")
    result = run("search", "run", "--dataset", dataset[:8], *TINY, *options)
    assert result.exit_code == 0, result.output
    assert place.catalog.latest() is None
    (output,) = json.loads(run("search", "list", "--json").stdout)["studies"]
    study, table = output["study"], output["table"]
    assert [row["state"] for row in table["rows"]] == ["succeeded"] * 2
    best = table["rows"][table["best"] - 1]
    assert best["low"] == max(row["low"] for row in table["rows"])
    assert (table["usd"], best["launches"]) == (0.5, 1)
    assert f"petpark search resume {study} --publish-best" in result.stdout
    ended = json.loads(run("search", "resume", study, "--publish-best", "--watch", "--json").stdout)
    assert ended["published"]["job"] == f"{study}-best"
    assert ended["published"]["version"] == 1
    assert cloud.jobs == [f"{study}-000001", f"{study}-000002", f"{study}-best"]
    workspace = place.buckets["workspace"]
    assert load_spec(workspace, f"{study}-best") == replace(load_spec(workspace, best["job"]), study=None)
    assert run("search", "resume", study, "--publish-best").stderr.startswith("JobFinished: ")


def test_a_study_is_started_once_by_its_name_and_then_nothing_is_needed_from_its_caller(
    run: Run, cloud: Cloud, dataset: str
) -> None:
    cloud.waits = True
    result = run("search", "run", "--dataset", dataset, *TINY, "--grid", "mixup=0,0.1", "--json")
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert output["execution"].endswith(f":petpark-study:{output['study']}")
    given_ = json.loads(cloud.states.executions[output["execution"]]["input"])
    assert given_["trials"] == [{"setting": 1, "settings": ["mixup=0"]}, {"setting": 2, "settings": ["mixup=0.1"]}]
    assert (given_["usd"], given_["known"], given_["publish"], given_["requested_by"]) == (50, {}, False, ALICE)
    again = json.loads(run("search", "resume", output["study"], "--json").stdout)
    assert again == output, "it runs: nothing is started"
    waits = run("search", "resume", output["study"], "--publish-best")
    assert (waits.exit_code, "StudyRunning: " in waits.stderr) == (1, True)
    shown = json.loads(run("search", "show", output["study"], "--json").stdout)
    assert (shown["outcome"], [row["state"] for row in shown["rows"]]) == (None, ["waiting"] * 2)


def test_watching_tells_trials_and_money_and_ctrl_c_leaves_the_study_alone(
    run: Run, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.waits = True
    name = cloud.begin()

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    events = study_executions.follow
    monkeypatch.setattr(study_executions, "follow", lambda target, one: events(target, one, pause=interrupt))
    left = run("search", "resume", name, "--watch")
    assert "StillRunning: " in left.stderr
    assert f"petpark search resume {name} --watch" in left.stderr
    assert f"petpark search cancel {name}" in left.stderr
    (arn,) = cloud.states.executions
    assert cloud.states.executions[arn]["status"] == "RUNNING"

    cloud.fate = lambda job: "LossNotFinite" if job.endswith("2") else ""
    monkeypatch.setattr(
        study_executions,
        "follow",
        lambda target, one: events(target, one, pause=lambda _: cloud.end(arn)),
    )
    result = run("search", "resume", name, "--watch")
    assert result.exit_code == 0, result.output
    assert "trial 2 failed: LossNotFinite" in result.stderr
    assert "trial 4 succeeded, balanced_accuracy 0.9" in result.stderr
    assert "Instances took" in result.stdout
    assert "1.00 USD" in result.stdout


def test_what_cannot_be_searched_is_refused_before_anything_is_stored(run: Run, place: Place, dataset: str) -> None:
    for wrong, message in (
        ((), "nothing to search"),
        (("--grid", "rate=1,2"), "learning_rate"),
        (("--random", "mixup=0..1"), "--trials"),
        (("--random", "mixup=0..1", "--trials", "201"), "at most 200 trials"),
        (("--random", "mixup=0..1", "--trials", "9", "--parallel", "41"), "--parallel"),
        (("--grid", "mixup=0,0.1", "--metric", "recall_cow"), "recall_cat"),
        (("--grid", "mixup=0,0.1", "--halving"), "at least 3"),
        (("--grid", "mixup=0,0.1", "--max-hours", "0.5"), "--max-minutes"),
        (("--grid", "mixup=0,0.1", "--max-usd", "1.79"), "and cost 1.80 USD, but the limit is 1.79 USD"),
        (("--grid", "mixup=0,0.1", "--max-minutes", "6000"), "petpark:pipeline.job_usd"),
    ):
        ended = run("search", "run", "--dataset", dataset, *wrong)
        assert ended.exit_code == 2, (wrong, ended.output)
        assert message in ended.stderr, (wrong, ended.stderr)
    assert list(place.buckets["workspace"].keys("")) == []
    for command in (("show",), ("resume",), ("cancel", "--why", "x")):
        assert run("search", command[0], "nothing", *command[1:]).stderr.startswith("StudyMissing: "), command
    assert "petpark search run" in run("search", "list").stdout


@pytest.mark.parametrize("exported", [None, {"job": "arn", "pipeline": "arn"}])
def test_a_stack_without_a_pipeline_or_with_an_older_one_is_named_before_anything_is_stored(
    place: Place, exported: dict[str, str] | None
) -> None:
    place.exported["test"]["pipeline"] = exported
    for words in (
        ("search", "run", "--dataset", "3fa9", "--grid", "mixup=0,0.1"),
        ("train", "--dataset", "3fa9"),
    ):
        ended = CliRunner().invoke(app, [*words], obj=place.target)
        assert ended.stderr.startswith("StackOutdated: Stack test has no pipeline"), ended.output
        assert "pulumi up --stack test" in ended.stderr
    assert not place.buckets.get("workspace")


@pytest.mark.usefixtures("instances")
def test_a_study_that_is_cancelled_ends_its_executions_and_instances_and_says_who_and_why(
    run: Run, cloud: Cloud, instances: list[str]
) -> None:
    cloud.waits = True
    name = cloud.begin()
    started = study_executions.start(cloud.target, name)
    cloud.begin_job(waiting(json.loads(cloud.states.executions[started.arn]["input"]), 1))
    job = trial_job(name, 1)
    child = executions.start_named(cloud.target, OUTPUTS["job"], execution_of(job, name), "{}")
    shown = json.loads(run("search", "show", name, "--json").stdout)
    assert [row["state"] for row in shown["rows"]] == ["running", *["waiting"] * 3]
    assert run("search", "cancel", name, "--why", " ").stderr.startswith("ReasonMissing: ")
    assert cloud.states.executions[child.arn]["status"] == "RUNNING"
    output = json.loads(run("search", "cancel", name[:-1], "--why", "wrong dataset", "--json").stdout)
    assert (output["study"], output["by"], output["why"], output["trials"]) == (name, ALICE, "wrong dataset", [1])
    assert (output["executions"], output["instances"], instances) == ([started.name, child.name], ["i-1"], ["i-1"])
    assert {each["status"] for each in cloud.states.executions.values()} == {"ABORTED"}
    result = find_result(cloud.store, job)
    assert result is not None
    assert (result.status, result.by, result.message) == ("cancelled", ALICE, "wrong dataset")
    shown = json.loads(run("search", "show", name, "--json").stdout)
    assert (shown["outcome"], shown["cancelled_by"]) == ("cancelled by alice: wrong dataset", ALICE)
    assert "cancelled by alice" in run("search", "list").stdout
    again = json.loads(run("search", "cancel", name, "--why", "second", "--json").stdout)
    assert (again["why"], again["instances"]) == ("wrong dataset", [])
    before = len(cloud.states.executions)
    for more in ((), ("--publish-best",)):
        resumed = run("search", "resume", name, *more)
        assert (resumed.exit_code, "StudyCancelled: " in resumed.stderr) == (1, True)
    assert len(cloud.states.executions) == before


def test_a_study_that_has_ended_is_not_cancelled(run: Run, cloud: Cloud) -> None:
    name = cloud.begin()
    study_executions.start(cloud.target, name)
    refused = run("search", "cancel", name, "--why", "too late")
    assert (refused.exit_code, "StudyFinished: " in refused.stderr) == (1, True)
    assert "all trials ended" in refused.stderr
    assert cloud.store.stat(cancelled_key(name)) is None


def test_a_trial_is_resumed_by_its_study_alone(cloud: Cloud) -> None:
    name = cloud.begin()
    study_executions.start(cloud.target, name)
    with pytest.raises(JobOfStudy) as refused:
        executions.start_training(cloud.target, trial_job(name, 1))
    assert refused.value.next_step == f"petpark search resume {name}"


def test_a_resumed_study_runs_what_has_no_result_and_spends_what_is_left(run: Run, cloud: Cloud) -> None:
    cloud.fate = lambda job: {"1": "LossNotFinite", "3": "NoCapacity"}.get(job[-1], "")
    name = cloud.begin(replace(STUDY, budget=Budget(max_usd=10)))
    study_executions.start(cloud.target, name)
    shown = json.loads(run("search", "show", name, "--json").stdout)
    assert [row["state"] for row in shown["rows"]] == ["failed", "succeeded", "interrupted", "succeeded"]
    assert (shown["rows"][2]["error"], shown["rows"][2]["message"]) == ("NoCapacity", "none left")
    assert shown["outcome"] == f"1 of 4 trials have no result (3): petpark search resume {name}"
    assert cloud.store.stat(table_key(name)) is None
    cloud.fate = lambda _job: ""
    cloud.jobs.clear()
    ended = run("search", "resume", name, "--watch", "--json")
    assert ended.exit_code == 0, ended.output
    assert cloud.jobs == [f"{name}-000003"]
    resumed = next(each for arn, each in cloud.states.executions.items() if arn.endswith(f":{name}-r2"))
    assert json.loads(resumed["input"])["usd"] == 9
    output = json.loads(ended.stdout)
    assert (output["outcome"], output["best"], output["usd"]) == ("all trials ended", 4, 1.25)
    cloud.jobs.clear()
    assert run("search", "resume", name).exit_code == 0
    assert cloud.jobs == [], "a study that has ended is shown"


def test_a_study_whose_budget_is_used_up_says_so_and_its_best_can_be_published(run: Run, cloud: Cloud) -> None:
    cloud.usd = 1.5
    name = cloud.begin(replace(STUDY, parallel=1, budget=Budget(max_usd=4)))
    study_executions.start(cloud.target, name)
    assert len(cloud.jobs) == 2
    shown = json.loads(run("search", "show", name, "--json").stdout)
    assert (
        shown["outcome"]
        == "the budget is used up: 2 of 4 trials have no result (3, 4), and another attempt may cost 1.60 USD"
    )
    refused = run("search", "resume", name)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"BudgetTooSmall: The budget of study {name} is used up")
    assert run("search", "resume", name, "--publish-best").exit_code == 0
    assert cloud.jobs[2:] == [f"{name}-best"]


@settings(max_examples=examples(10), deadline=None)
@given(st.lists(st.sampled_from(["", "LossNotFinite", "NoCapacity"]), min_size=4, max_size=4), st.booleans())
def test_whatever_trials_come_to_the_table_has_the_machines_best_and_resuming_ends_it(
    fates: list[str], halving: bool
) -> None:
    cloud = Cloud(Place(), fate=lambda job: fates[(int(job[-6:]) - 1) % 4])
    name = cloud.begin(replace(STUDY, rungs=2 if halving else 1))
    study_executions.start(cloud.target, name)
    first = Records(cloud.target, name).table()
    output = json.loads(cloud.states.executions[next(iter(cloud.states.executions))].get("output", '{"best": null}'))
    assert output["best"] == first.best
    cloud.fate = lambda _job: ""
    if first.outcome != "all trials ended":
        study_executions.start(cloud.target, name)
    table = Records(cloud.target, name).table()
    assert table.outcome == "all trials ended"
    assert cloud.store.stat(table_key(name)) is not None
    assert set(cloud.jobs) == {row.job for row in table.rows}


def test_a_study_without_a_success_ends_with_the_reasons(run: Run, cloud: Cloud) -> None:
    cloud.fate = lambda _job: "LossNotFinite"
    name = cloud.begin()
    ended = run("search", "resume", name, "--watch")
    assert (ended.exit_code, "NothingLearned: " in ended.stderr, "LossNotFinite" in ended.stderr) == (1, True, True)
    assert "No trial has succeeded." in ended.stdout
