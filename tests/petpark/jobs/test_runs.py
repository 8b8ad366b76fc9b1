"""Jobs compared: what differs, and one page with their curves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from petpark.jobs import submission
from petpark.jobs.runs import chart, differences, load
from registry.encoding import canonical
from registry.layout.jobs import epoch_key, epochs_prefix, job_result_key, machine_key
from registry.store.memory_store import MemoryStore
from tests.petpark.conftest import ACCOUNT, Place, Run
from training.hyper_parameters import HyperParameters
from training.job import EpochRecord, JobResult, JobSpec

ALICE = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/alice"


@pytest.fixture
def two(place: Place) -> list[str]:
    """One job that succeeded after three epochs, and one that is under way, with another learning rate."""
    workspace = place.buckets.setdefault("workspace", MemoryStore())
    submitted = list[str]()
    for rate, epochs in ((0.1, 3), (0.2, 1)):
        parameters = HyperParameters(learning_rate=rate, epochs=3)
        spec = JobSpec(dataset="d" * 64, seed=3, requested_by=ALICE, hyper_parameters=parameters)
        job = submission.submit(place.target(), spec)
        submitted.append(job)
        for number in range(1, epochs + 1):
            record = EpochRecord(
                epoch=number, of=3, train_loss=0.5, loss=1 / number, accuracy=0.7, learning_rate=rate, seconds=2.0
            )
            workspace.create(epoch_key(job, number), record.to_json())
        workspace.create(machine_key(job, 1), canonical({"processor": f"<b>{epochs}</b>", "cores": 2}))
    result = JobResult(job=submitted[0], status="succeeded", version=4, metrics={"balanced_accuracy": 0.91})
    workspace.create(job_result_key(submitted[0]), result.to_json())
    return submitted


def test_what_differs_is_shown_and_what_does_not_is_left_out(run: Run, two: list[str], tmp_path: Path) -> None:
    result = run("runs", "compare", *two, "--page", str(tmp_path / "page.html"), "--json")
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert output["differences"] == {"learning_rate": ["0.1", "0.2"], "processor": ["<b>3</b>", "<b>1</b>"]}
    assert [len(one["epochs"]) for one in output["runs"]] == [3, 1]
    assert output["runs"][0]["result"]["version"] == 4


def test_the_page_stands_alone_draws_every_job_and_escapes_what_it_was_told(
    run: Run, two: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    run("runs", "compare", *two, "--page", str(page))
    html = page.read_text()
    assert html.count("<polyline") == 2 * 5
    assert 'points="0.0,0.0 210.0,150.0 420.0,200.0"' in html
    assert html.count("<circle") == 2 + 5 * (3 + 1), "the run of one epoch has no line, but a point in each chart"
    assert html.count(">epoch</text>") == 5
    assert 'name="viewport"' in html
    assert "version 4" in html
    assert "0.910" in html
    assert "&lt;b&gt;3&lt;/b&gt;" in html
    assert "<b>3</b>" not in html
    assert "http" not in html
    assert "<script" not in html


def test_a_job_that_is_not_there_is_a_sentence(run: Run, place: Place, tmp_path: Path) -> None:
    place.buckets.setdefault("workspace", MemoryStore())
    result = run("runs", "compare", "nothing", "--page", str(tmp_path / "page.html"))
    assert result.exit_code == 1
    assert result.stderr.startswith("JobMissing: ")
    assert not (tmp_path / "page.html").exists()


def test_a_single_epoch_is_drawn_in_the_middle_of_its_chart(place: Place, run: Run, two: list[str]) -> None:
    runs = [load(place.target(), two[1])]
    drawn = chart([replace(runs[0], epochs=tuple(replace(each, of=1) for each in runs[0].epochs))], "loss")
    assert drawn.lines[0].dots == (("210.0", "100.0"),)
    assert [tick.text for tick in drawn.across] == ["1"]
    assert [tick.text for tick in drawn.up] == ["0.5", "0.75", "1", "1.25", "1.5"]


def test_what_is_no_record_of_a_job_is_named_and_passed_over(
    run: Run, place: Place, two: list[str], tmp_path: Path
) -> None:
    workspace = place.buckets["workspace"]
    for key in (f"{epochs_prefix(two[0])}foreign", machine_key(two[0], 2), job_result_key(two[1])):
        workspace.create(key, b"junk")
    page = tmp_path / "page.html"
    result = run("runs", "compare", *two, "--page", str(page))
    assert result.exit_code == 0, result.output
    for named in (f"{epochs_prefix(two[0])}foreign", job_result_key(two[1])):
        assert f"Skipped {named}" in result.stdout
        assert named in page.read_text()


def test_jobs_are_compared_by_the_beginnings_of_their_ids(run: Run, two: list[str], tmp_path: Path) -> None:
    page = str(tmp_path / "page.html")
    result = run("runs", "compare", *(job[:-1] for job in two), "--page", page, "--json")
    assert [one["job"] for one in json.loads(result.stdout)["runs"]] == two
    ambiguous = run("runs", "compare", two[0][:4], "--page", page)
    assert ambiguous.exit_code == 2
    assert all(job in ambiguous.stderr for job in two)


def test_gates_and_other_facts_within_facts_differ_one_by_one(run: Run, place: Place, two: list[str]) -> None:
    runs = [load(place.target(), job) for job in two]
    spec = runs[1].spec
    assert spec is not None
    gates = replace(spec.evaluation.gates, accuracy=0.9)
    other = replace(runs[1], spec=replace(spec, evaluation=replace(spec.evaluation, gates=gates)))
    assert differences([runs[0], other])["evaluation.gates.accuracy"] == ["0.6", "0.9"]
    assert not any("{" in value for value in other.settings().values())
