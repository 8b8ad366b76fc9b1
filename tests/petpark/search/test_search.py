"""`petpark search`: two real trainings in this process, what people see of a study, and what is refused."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from petpark.commands.training import search
from petpark.errors import JobOfStudy, NothingLearned
from petpark.jobs import submission
from petpark.search import page, request
from petpark.search.records import Records
from petpark.search.table import State
from petpark.targets.target import Target
from registry import layout
from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from tests.petpark.conftest import ACCOUNT, Place, Run
from tests.petpark.search.test_driver import STUDY, Cloud, Fate, begin
from tests.training.photos import write_photos
from training.jobs.job import JobResult, find_result, load_spec, store_result, submit
from training.jobs.run import run_job
from training.search.space import Space
from training.search.study import Launch

ALICE = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/alice"
TINY = ("--set", "epochs=1", "--set", "image_size=16", "--set", "batch_size=8")


@dataclass(frozen=True, kw_only=True)
class InThisProcess:
    """An instance runs its job within the call that starts it."""

    target: Target
    tell: Callable[[str], object]

    def launch(self, job: str, token: str) -> None:
        run_here(self.target, job)

    def alive(self, study: str) -> Mapping[str, bool]:
        return {}

    def end(self, study: str, token: str) -> bool:
        return False


def run_here(target: Target, job: str) -> None:
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


@pytest.fixture
def dataset(run: Run, place: Place, tmp_path: Path) -> str:
    write_photos(tmp_path / "photos", per_class=24)
    return json.loads(run("data", "ingest", str(tmp_path / "photos"), "--json").stdout)["dataset"]


def test_a_search_trains_every_setting_and_the_best_alone_is_trained_to_be_published(
    run: Run, place: Place, dataset: str, ec2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the same spec gives the same weights is held by `tests/training/jobs/test_trial.py`."""
    monkeypatch.setattr(search, "Instances", InThisProcess)
    options = ("--max-hours", "9", "--max-usd", "5", "--usd-per-hour", "0.5")
    said = run("search", "run", "--dataset", dataset[:8], *TINY, "--grid", "learning_rate=0.0001,0.01", *options)
    assert said.exit_code == 0, said.output
    assert place.catalog.latest() is None
    (told,) = json.loads(run("search", "list", "--json").stdout)["studies"]
    study, table = told["study"], told["table"]
    assert [row["state"] for row in table["rows"]] == ["succeeded"] * 2
    best = table["rows"][table["best"] - 1]
    assert best["low"] == max(row["low"] for row in table["rows"])
    assert f"petpark search resume {study} --publish-best" in said.stdout
    assert "[" in said.stdout

    def launch(target: Target, job: str, *, token: str | None = None) -> str:
        store_result(target.store("workspace"), JobResult(job=job, status="succeeded", version=1))
        return "i-1"

    monkeypatch.setattr(submission, "launch", launch)
    published = json.loads(run("search", "resume", study, "--publish-best", "--json").stdout)["published"]
    assert (published["job"], published["version"]) == (f"{study}-best", 1)
    workspace = place.buckets["workspace"]
    assert load_spec(workspace, f"{study}-best") == replace(load_spec(workspace, best["job"]), study=None)
    assert "\nJobFinished: " in run("search", "resume", study, "--publish-best").stderr


def test_what_cannot_be_searched_is_refused_before_anything_is_stored(
    run: Run, place: Place, dataset: str, ec2: Any
) -> None:
    for wrong, said in (
        ((), "nothing to search"),
        (("--grid", "rate=1,2"), "learning_rate"),
        (("--random", "mixup=0..1"), "--trials"),
        (("--grid", "mixup=0,0.1", "--metric", "recall_cow"), "recall_cat"),
        (("--grid", "mixup=0,0.1", "--max-usd", "5"), "--usd-per-hour"),
        (("--grid", "mixup=0,0.1", "--halving"), "at least 3"),
        (("--grid", "mixup=0,0.1", "--max-hours", "0.5"), "--max-minutes"),
    ):
        ended = run("search", "run", "--dataset", dataset, *wrong)
        assert ended.exit_code == 2, wrong
        assert said in ended.stderr, wrong
    assert list(place.buckets.setdefault("workspace", MemoryStore()).keys("")) == []
    assert run("search", "show", "nothing").stderr.startswith("StudyMissing: ")
    assert "petpark search run" in run("search", "list").stdout


def test_a_study_on_the_stacks_instances_is_launched_by_its_ledger(run: Run, place: Place, ec2: Any) -> None:
    from petpark.search.driver import Instances

    target = place.target()
    store = target.store("workspace")
    name = request.create(store, STUDY)
    machines, token = Instances(target=target), layout.launch_token(name, 1)
    submit(store, layout.trial_job(name, 1), replace(STUDY.spec, study=name))
    machines.launch(layout.trial_job(name, 1), token)
    assert machines.alive(name) == {token: True}
    assert machines.alive("20260101-000000-ffff") == {}
    assert machines.end(name, token)
    assert machines.alive(name) == {token: False}
    shown = json.loads(run("search", "show", name, "--json").stdout)
    assert (shown["outcome"], [row["state"] for row in shown["rows"]]) == (None, ["waiting"] * 4)


def test_a_study_that_is_cancelled_ends_its_instances_and_says_who_and_why(run: Run, place: Place, ec2: Any) -> None:
    from petpark.search.driver import Instances

    target = place.target()
    store = target.store("workspace")
    name = request.create(store, STUDY)
    job, token = layout.trial_job(name, 1), layout.launch_token(name, 1)
    submit(store, job, replace(STUDY.spec, study=name))
    store.create(layout.launch_key(name, 1), Launch(trial=1, seconds=3600).to_json())
    machines = Instances(target=target)
    machines.launch(job, token)
    assert run("search", "cancel", name, "--why", " ").stderr.startswith("ReasonMissing: ")
    assert machines.alive(name) == {token: True}
    told = json.loads(run("search", "cancel", name[:-1], "--why", "wrong dataset", "--json").stdout)
    assert (told["study"], told["by"], told["why"], told["trials"]) == (name, ALICE, "wrong dataset", [1])
    assert len(told["instances"]) == 1
    assert machines.alive(name) == {token: False}
    result = find_result(store, job)
    assert result is not None
    assert (result.status, result.by, result.message) == ("cancelled", ALICE, "wrong dataset")
    shown = json.loads(run("search", "show", name, "--json").stdout)
    assert (shown["outcome"], shown["cancelled_by"]) == ("cancelled by alice: wrong dataset", ALICE)
    assert "cancelled by alice" in run("search", "list").stdout
    again = json.loads(run("search", "cancel", name, "--why", "second", "--json").stdout)
    assert (again["why"], again["instances"]) == ("wrong dataset", [])
    resumed = run("search", "resume", name, "--publish-best")
    assert (resumed.exit_code, "StudyCancelled: " in resumed.stderr) == (1, True)
    assert store.stat(layout.job_spec_key(f"{name}-best")) is None


def test_a_study_that_has_ended_or_is_unknown_is_not_cancelled(run: Run, place: Place, ec2: Any) -> None:
    cloud = Cloud()
    name = begin(cloud)
    cloud.driver(name).drive()
    place.buckets["workspace"] = cloud.store
    refused = run("search", "cancel", name, "--why", "too late")
    assert (refused.exit_code, "StudyFinished: " in refused.stderr) == (1, True)
    assert "all trials ended" in refused.stderr
    assert cloud.store.stat(layout.cancelled_key(name)) is None
    assert run("search", "cancel", "nothing", "--why", "wrong").stderr.startswith("StudyMissing: ")


def test_a_trial_is_resumed_by_its_study_alone(place: Place, ec2: Any) -> None:
    cloud = Cloud()
    name = begin(cloud)
    cloud.driver(name).drive()
    place.buckets["workspace"] = cloud.store
    assert find_result(cloud.store, layout.trial_job(name, 1)) is not None
    with pytest.raises(JobOfStudy) as refused:
        submission.resume(place.target(), layout.trial_job(name, 1))
    assert refused.value.next_step == f"petpark search resume {name}"


def test_a_study_without_a_success_ends_with_the_reasons(run: Run, place: Place, ec2: Any) -> None:
    cloud = Cloud(fate=lambda _job, _attempt: Fate(error="LossNotFinite"))
    name = begin(cloud)
    table = cloud.driver(name).drive()
    place.buckets["workspace"] = cloud.store
    ended = run("search", "resume", name)
    assert (ended.exit_code, "LossNotFinite" in ended.stderr) == (1, True)
    assert "No trial has succeeded." in ended.stdout
    with pytest.raises(NothingLearned):
        request.best_row(table)


def test_the_page_shows_every_trial_escapes_what_it_was_told_and_needs_nothing_else(
    run: Run, place: Place, ec2: Any, tmp_path: Path
) -> None:
    space = Space(grid=("learning_rate=0.001,0.004", "architecture=resnet8,resnet10"))
    cloud = Cloud(fate=lambda job, _attempt: Fate(error="<b>Out</b>" if job.endswith("1") else None))
    name = begin(cloud, replace(STUDY, space=space, rungs=2))
    cloud.driver(name).drive()
    place.buckets["workspace"] = cloud.store
    said = run("search", "show", name, "--out", str(tmp_path / "study.html"))
    assert said.exit_code == 0, said.output
    html = (tmp_path / "study.html").read_text()
    assert html.count("<circle") == 2 * 5, "each success once in both charts"
    assert html.count('"mark best"') == 2
    assert "&lt;b&gt;Out&lt;/b&gt;" in html
    assert "<b>Out</b>" not in html
    assert "http" not in html
    assert "<script" not in html
    assert html.count("<tr") == 1 + 6


def test_a_page_of_nothing_but_failures_says_so(tmp_path: Path) -> None:
    cloud = Cloud(fate=lambda _job, _attempt: Fate(error="OutOfMemory"))
    name = begin(cloud)
    table = cloud.driver(name).drive()
    assert {row.state for row in table.rows} == {State.FAILED}
    page.write_page(table, Records(cloud.store, name).study(), tmp_path / "study.html")
    assert "No trial has succeeded" in (tmp_path / "study.html").read_text()


def test_an_axis_is_in_proportion_by_logarithm_or_even() -> None:
    assert page.axis(["0", "1", "4"]) == ([0.0, 0.25, 1.0], {0.0: "0", 0.25: "1", 1.0: "4"})
    places, ticks = page.axis(["0.0001", "0.01", "0.001"])
    assert places == pytest.approx([0.0, 1.0, 0.5])
    assert list(ticks.values()) == ["0.0001", "0.001", "0.01"]
    assert page.axis(["resnet8", "resnet10"])[0] == [0.25, 0.75]
    assert page.axis(["48"]) == ([0.5], {0.5: "48"})
    crowded = [str(number) for number in range(100)]
    assert list(page.axis(crowded)[1].values()) == ["0", "99"]


def test_a_study_that_cannot_be_read_is_a_row_and_studies_are_known_by_the_beginnings_of_their_ids(
    run: Run, place: Place, ec2: Any
) -> None:
    workspace = place.buckets.setdefault("workspace", MemoryStore())
    study = request.create(workspace, STUDY)
    workspace.create(layout.study_key("bad"), b"{}")
    workspace.create(f"{layout.STUDIES}foreign/notes.txt", b"hello")
    workspace.create(f"{layout.STUDIES}ż/ż", b"hello")
    said = run("search", "list")
    assert said.exit_code == 0, said.output
    assert study in said.stdout
    told = {one["study"]: one for one in json.loads(run("search", "list", "--json").stdout)["studies"]}
    assert {name for name, one in told.items() if one["problem"]} == {"bad", "foreign", "ż"}
    assert layout.study_prefix("bad") in said.stdout
    assert study in run("search", "show", study[:-1], "--json").stdout
