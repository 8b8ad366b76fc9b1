"""The stack's gates hold for every job; a version that failed some says by how much, and how to go back a step."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petpark.errors import GateLoosened, StackOutdated
from petpark.jobs import execution_events, submission
from petpark.models.gates import judgement, plan
from petpark.targets.stacks import parse
from registry.errors import FileCorrupted
from registry.layout.jobs import JOBS, job_result_key
from registry.layout.model_store import blob_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import ACCOUNT, Place, Run, outputs
from training.errors import SpecMalformed
from training.job import JobResult, JobSpec

ALICE = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/alice"
JOB = "20260802-101500-3fa9"
EVALUATION = {
    "gates": [
        {"name": "accuracy", "passed": True, "asked": "a", "found": "f", "why": "3.0 points to spare", "advice": ""},
        {
            "name": "recall",
            "passed": False,
            "asked": "photos of “cat” found: at least 40.0 %",
            "found": "28.0 % (lower bound; measured 50.0 %)",
            "why": "12.0 points missing",
            "advice": "Add photos of “cat”.",
        },
    ],
    "robustness": {"curves": {"blur": [[0.9, [0.8, 1]]], "night": [[0.5, [0.4, 0.6]], [0.4, [0.3, 0.5]]]}},
    "comparison": None,
}


@pytest.fixture
def failing(place: Place, tmp_path: Path) -> Version:
    """A version that failed a gate."""
    (tmp_path / "evaluation.json").write_text(json.dumps(EVALUATION))
    metrics = {"accuracy": 0.63, "gate_accuracy": 1.0, "gate_recall": 0.0, "temperature": 1.3}
    return place.catalog.publish(
        {"evaluation.json": tmp_path / "evaluation.json"}, labels=["cat", "dog"], metrics=metrics, lineage={"run": JOB}
    )


def finish(place: Place, job: str, version: Version) -> None:
    """The job's end, as an instance stores it."""
    result = JobResult(
        job=job, status="succeeded", version=version.number, digest=version.digest, metrics=dict(version.metrics)
    )
    place.buckets.setdefault("workspace", MemoryStore()).create(job_result_key(job), result.to_json())


# --- what holds ---


def test_what_the_stack_asks_holds_for_every_job(place: Place) -> None:
    asked = plan(place.target(), (), ())
    assert (asked.gates.accuracy, asked.gates.recall) == (0.7, 0.4), "the stack's, and petpark's own where it says none"
    assert (asked.checks.photos, type(asked.checks.photos)) == (50, int)


def test_a_job_may_ask_for_more_and_be_tested_otherwise(place: Place) -> None:
    asked = plan(place.target(), ["accuracy=0.97", "slice_gap=0.1", "luck=0.2", "milliseconds=9"], ["photos=9"])
    gates = asked.gates
    assert (gates.accuracy, gates.slice_gap, gates.luck, gates.milliseconds) == (0.97, 0.1, 0.2, 9)
    assert asked.checks.photos == 9


@pytest.mark.parametrize("looser", ["accuracy=0.69", "recall=0", "slice_gap=0.41", "luck=0.04", "consistency=0.4"])
def test_a_job_may_not_ask_for_less(place: Place, looser: str) -> None:
    with pytest.raises(GateLoosened, match=looser.partition(".")[0]) as refused:
        plan(place.target(), ["calibration_error=0.1", looser], ())
    assert "petpark:gates" in refused.value.next_step
    assert list(refused.value.facts["loosened"]) == [looser.partition("=")[0]]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_limit_of_time_that_the_stack_sets_cannot_be_taken_away(place: Place) -> None:
    place.exported["test"]["gates"]["model"]["milliseconds"] = 20
    with pytest.raises(GateLoosened, match="milliseconds=0, the stack 20"):
        plan(place.target(), ["milliseconds=0"], ())


def test_asking_for_less_is_bad_usage_and_starts_nothing(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("petpark.data.datasets.resolve", lambda _target, _dataset: "d" * 64)
    said = run("train", "--dataset", "dddd", "--gate", "accuracy=0.5")
    assert (said.exit_code, said.stderr.partition(":")[0]) == (2, "GateLoosened")
    assert list(place.buckets.setdefault("workspace", MemoryStore()).keys(JOBS)) == []


@pytest.mark.parametrize(
    ("gates", "told"),
    [
        (None, "no output 'gates'"),
        ({"data": {}, "model": {"speed": 1}, "checks": {}}, "model.speed is not a known gate"),
        ({"model": {}}, "expected data, model, checks"),
    ],
)
def test_a_stack_whose_gates_this_petpark_does_not_know_is_outdated(gates: Any, told: str) -> None:
    exported = {**outputs(), "gates": gates}
    if gates is None:
        del exported["gates"]
    with pytest.raises(StackOutdated, match=told):
        parse("test", exported)


def test_a_stack_that_asks_what_no_gate_can_mean_is_refused_by_name(place: Place) -> None:
    place.exported["test"]["gates"]["checks"]["calls"] = 0
    with pytest.raises(SpecMalformed, match="calls"):
        plan(place.target(), (), ())


# --- how a version did ---


def test_a_version_tells_what_each_gate_asked_and_by_how_much_it_failed(place: Place, failing: Version) -> None:
    found = judgement(place.target(), failing.number)
    assert [verdict.name for verdict in found.failed] == ["recall"]
    assert found.failed[0].why == "12.0 points missing"
    assert (found.weakest, found.temperature, found.incumbent) == ("night", 1.3, None)


def test_a_version_without_an_evaluation_tells_the_gates_names(place: Place, publish: Callable[..., Version]) -> None:
    found = judgement(place.target(), publish().number)
    assert [(verdict.name, verdict.state, verdict.why) for verdict in found.verdicts] == [("accuracy", "passed", "")]


def test_an_evaluation_that_somebody_changed_is_not_believed(place: Place, failing: Version) -> None:
    place.replace(blob_key("pets", failing.files[0].sha256), b'{"gates": []}')
    with pytest.raises(FileCorrupted):
        judgement(place.target(), failing.number)


def test_a_gate_that_was_not_measured_is_told_with_its_reason_and_counts_against_the_version(
    run: Run, place: Place, tmp_path: Path, ec2: Any
) -> None:
    why = "version 1 in prod has other classes: only cow here"
    told = {"name": "not_worse_than_prod", "passed": False, "measured": False, "asked": "a", "found": "not measured"}
    (tmp_path / "evaluation.json").write_text(
        json.dumps({"gates": [{**told, "why": why, "advice": "Compare by hand."}]})
    )
    metrics = {"gate_accuracy": 1.0, "gate_not_worse_than_prod": 0.0, "unmeasured_not_worse_than_prod": 1.0}
    version = place.catalog.publish(
        {"evaluation.json": tmp_path / "evaluation.json"}, labels=["cat", "cow"], metrics=metrics, lineage={"run": JOB}
    )
    found = judgement(place.target(), version.number)
    assert (found.failed, [verdict.why for verdict in found.unmeasured]) == ((), [why])
    job = submission.submit(place.target(), JobSpec(dataset="d" * 64, seed=3, requested_by=ALICE))
    finish(place, job, version)
    said = run("jobs", "show", job)
    for part in (f"because {why}; counts as failed", "Compare by hand.", "1 of 2 passed, 1 not measured"):
        assert part in said.stdout, part
    facts = json.loads(run("jobs", "show", job, "--json").stdout)
    assert (facts["gates_failed"], facts["gates_unmeasured"]) == ([], ["not_worse_than_prod"])
    assert "not measured" in run("models", "show", str(version.number)).stdout


# --- going back a step ---


def test_a_job_whose_version_failed_gates_is_shown_with_what_to_try(
    run: Run, place: Place, failing: Version, ec2: Any
) -> None:
    spec = JobSpec(
        dataset="d" * 64, seed=3, requested_by=ALICE, evaluation=plan(place.target(), ["consistency=0.6"], ())
    )
    job = submission.submit(place.target(), spec)
    finish(place, job, failing)
    said = run("jobs", "show", job)
    assert said.exit_code == 0
    for part in (
        "photos of “cat” found: at least 40.0 %",
        "28.0 %",
        "12.0 points missing",
        "Add photos of “cat”.",
        "petpark data ingest PHOTOS --base dddddddddddd && petpark train --dataset NEW",
        "--gate consistency=0.6",
        f"--weights {failing.number}",
        "1 of 2 passed",
        "at least 0.7",
    ):
        assert part in said.stdout, part
    told = json.loads(run("jobs", "show", job, "--json").stdout)
    assert told["gates_failed"] == ["recall"]
    assert {entry["name"]: entry["why"] for entry in told["gates"]}["recall"] == "12.0 points missing"
    assert [step["what"] for step in told["next"]] == [
        "more photos", "other parameters", "continue from its weights", "look at its errors",
    ]  # fmt: skip
    assert "did not pass recall" in run("jobs", "list").stdout


def test_a_job_under_way_is_shown_with_the_gates_that_wait_for_its_version(run: Run, place: Place, ec2: Any) -> None:
    job = submission.submit(place.target(), JobSpec(dataset="d" * 64, seed=3, requested_by=ALICE))
    said = run("jobs", "show", job)
    assert (said.exit_code, "not judged" in said.stdout, "What to try" in said.stdout) == (0, True, False)
    missing = run("jobs", "show", "20200101-000000-ffff")
    assert (missing.exit_code, missing.stderr.partition(":")[0]) == (1, "JobMissing")


@pytest.mark.parametrize("passes", [True, False])
def test_a_watched_training_ends_with_a_code_of_its_own_when_gates_failed(
    run: Run, place: Place, failing: Version, publish: Callable[..., Version], ec2: Any,
    monkeypatch: pytest.MonkeyPatch, passes: bool,
) -> None:  # fmt: skip
    version = publish() if passes else failing
    monkeypatch.setattr("petpark.data.datasets.resolve", lambda _target, _dataset: "d" * 64)
    monkeypatch.setattr(submission, "admit", lambda _target, _spec, **_how: None)

    def end(_seconds: float) -> None:
        (job,) = {key.split("/")[1] for key in place.buckets["workspace"].keys(JOBS)}
        finish(place, job, version)
        place.states.end("SUCCEEDED")

    monkeypatch.setattr(execution_events, "follow", functools.partial(execution_events.follow, pause=end))
    said = run("train", "--dataset", "dddd", "--watch", "--json")
    told = json.loads(said.stdout)
    assert said.exit_code == (0 if passes else 3)
    assert told["gates_failed"] == ([] if passes else ["recall"])
    assert bool(told["next"]) is not passes
    assert (told["status"], told["version"]) == ("succeeded", version.number)
