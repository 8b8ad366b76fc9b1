"""Trainings as they are submitted, shown and cancelled, with EC2 by moto."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from petpark.errors import (
    JobFailed,
    TooManyInstances,
)
from petpark.jobs import submission
from petpark.jobs.job_summaries import Stage
from petpark.jobs.submission import EpochFinished, ProgressReported, Skipped
from petpark.targets.target import USUAL_RECIPE
from registry.layout.jobs import JOBS, boot_log_key, epoch_key, job_spec_key, progress_key
from registry.store.object_store import ObjectStore
from tests.petpark.conftest import FakeTarget, Run
from tests.petpark.jobs.conftest import ALICE, BOB, DATASET, epoch, finish, launched
from training.errors import SpecMalformed
from training.hyper_parameters import FOR_FEW_PHOTOS, FOR_TRANSFER, HyperParameters
from training.job import STAGES, EpochRecord, JobResult, JobSpec, ProgressRecord


def test_a_job_is_planned_from_the_stacks_code_and_the_settings(target: FakeTarget) -> None:
    spec = submission.plan(target, DATASET, ["epochs=3", "learning_rate=0.1"], seed=7, max_minutes=5)
    assert spec.code == target.outputs.code_bundle
    assert (spec.seed, spec.max_seconds, spec.hyper_parameters.epochs) == (7, 300, 3)
    with pytest.raises(SpecMalformed, match="epochs"):
        submission.plan(target, DATASET, ["epoch=3"], seed=0)


def test_a_job_begins_with_a_recipe_and_the_settings_change_it(target: FakeTarget) -> None:
    planned = submission.plan(target, DATASET, ["epochs=3"], seed=0, recipe="few-photos").hyper_parameters
    assert planned == replace(FOR_FEW_PHOTOS, epochs=3)
    assert submission.plan(target, DATASET, [], seed=0).hyper_parameters == HyperParameters()  # of drawn photos
    cloud = replace(target, recipe=USUAL_RECIPE)
    assert submission.plan(cloud, DATASET, [], seed=0).hyper_parameters == FOR_TRANSFER
    with pytest.raises(SpecMalformed, match="two-cores, few-photos, gpu"):
        submission.plan(target, DATASET, [], seed=0, recipe="fewer")


@pytest.mark.parametrize("setting", ["epochs=9", "learning_rate=0.1", "mixup=0.2"])
def test_a_setting_that_a_linear_layer_would_not_look_at_is_refused_with_what_does(
    target: FakeTarget, setting: str
) -> None:
    name = setting.partition("=")[0]
    with pytest.raises(
        SpecMalformed, match=f"{name} changes nothing where a linear layer alone .* --recipe few-photos"
    ):
        submission.plan(target, DATASET, [setting], seed=0, recipe="transfer")
    assert (
        submission.plan(target, DATASET, [setting, "frozen=0"], seed=0, recipe="transfer").hyper_parameters.frozen == 0
    )
    assert submission.plan(target, DATASET, ["views=3"], seed=0, recipe="transfer").hyper_parameters.views == 3


def test_a_job_carries_the_gates_that_its_model_must_pass(target: FakeTarget) -> None:
    plan = submission.plan(target, DATASET, [], seed=0, gates=["accuracy=0.97"], checks=["positive=dog"]).evaluation
    assert (plan.gates.accuracy, plan.checks.positive) == (0.97, "dog")
    with pytest.raises(SpecMalformed, match="slice_gap"):
        submission.plan(target, DATASET, [], seed=0, gates=["speed=1"])


def test_a_job_names_who_asked_for_it_as_the_publisher(target: FakeTarget) -> None:
    assert submission.plan(target, DATASET, [], seed=0).requested_by == ALICE


def test_more_instances_than_the_stack_lets_train_together_are_refused(target: FakeTarget) -> None:
    with pytest.raises(TooManyInstances, match="allows at most 1 instances per training, not 2") as refused:
        submission.plan(target, DATASET, [], seed=0, instances=2)
    assert "pulumi config set training_instances 2 --stack test" in refused.value.next_step


def at(stage: int, done: int, of: int = 100) -> ProgressRecord:
    return ProgressRecord(doing=STAGES[stage], done=done, of=of, seconds_left=(of - done) * 0.8)


def test_records_tell_how_far_a_job_is_each_once_and_for_how_long(workspace: ObjectStore, job: str) -> None:
    records, messages = submission.Records(workspace, job), list[str]()

    def look(*written: ProgressRecord | EpochRecord) -> None:
        for record in written:
            epoch_of = isinstance(record, EpochRecord)
            key = epoch_key(job, record.epoch) if epoch_of else progress_key(job, *record.key)
            workspace.create(key, record.to_json())
        messages.extend(
            submission.sentence(event.record)
            for event in records.new()
            if isinstance(event, ProgressReported | EpochFinished)
        )

    look(at(0, 100), at(1, 10))
    look(at(1, 90))
    look(epoch(1, of=1))
    look()
    look(at(2, 1, of=4))
    assert messages == [
        "100 of 100 photos decoded",
        "10 of 100 photos embedded, 1 min 12 s left",
        "90 of 100 photos embedded, 8 s left",
        "epoch 1 of 1: accuracy 81.0%, loss 0.400, 2.0 s",
        "1 of 4 tests done, 2 s left",
    ]
    assert submission.sentence(epoch(1, of=61)).endswith("; 2 min 00 s left")


def test_what_is_no_record_is_passed_over(workspace: ObjectStore, job: str) -> None:
    workspace.create(progress_key(job, 0, 1), b"nothing")
    workspace.create(epoch_key(job, 1), b"junk")
    found = list(submission.Records(workspace, job).new())
    assert [event.key for event in found if isinstance(event, Skipped)] == [
        progress_key(job, 0, 1),
        epoch_key(job, 1),
    ]


def test_a_job_is_shown_with_how_far_it_is(target: FakeTarget, workspace: ObjectStore, run: Run, ec2: Any) -> None:
    job = submission.submit(
        target, replace(JobSpec(dataset=DATASET, seed=3, requested_by=BOB), hyper_parameters=FOR_TRANSFER)
    )

    def shown() -> str:
        return json.loads(run("jobs", "show", job, "--json").stdout)["progress"]

    assert shown() == ""
    workspace.create(progress_key(job, 1, 64), at(1, 64).to_json())
    assert shown() == "64 of 100 photos embedded, 29 s left"
    assert "none: a linear layer" in run("jobs", "show", job).stdout
    workspace.create(epoch_key(job, 1), epoch(1, of=1).to_json())
    assert shown().startswith("epoch 1 of 1: accuracy")
    workspace.create(progress_key(job, 2, 1), at(2, 1, of=4).to_json())
    assert shown() == "1 of 4 tests done, 2 s left"
    finish(workspace, job)
    assert shown() == ""


def test_a_job_that_failed_gives_its_own_reason(job: str) -> None:
    failed = JobResult(job=job, status="failed", error="OutOfMemory", message="too small")
    with pytest.raises(JobFailed, match="OutOfMemory, too small"):
        submission.finished(job, failed)


def test_a_job_whose_instance_failed_to_boot_shows_what_it_said_last(
    run: Run, target: FakeTarget, ec2: Any, workspace: ObjectStore, job: str
) -> None:
    (instance,) = launched(ec2, job)
    ec2.terminate_instances(InstanceIds=[instance])
    assert f"aws ec2 get-console-output --instance-id {instance}" in " ".join(run("jobs", "show", job).stdout.split())
    text = "".join(f"line {number}\n" for number in range(99)) + "[red]\x1b[2Jno space left\n"
    workspace.create(boot_log_key(job, instance), text.encode())
    shown = run("jobs", "show", job)
    assert "[red][2Jno space left" in shown.stdout, "neither colours nor a terminal's commands are taken from a log"
    assert "line 98" in shown.stdout
    assert "line 42" not in shown.stdout
    assert boot_log_key(job, instance) in shown.stdout
    assert "get-console-output" not in shown.output
    (output,) = [json.loads(run("jobs", "show", job, "--json").stdout)["boot_log"]]
    assert (output["instance"], output["last"][-2]) == (instance, "line 98")


def test_the_list_says_how_far_every_job_is(run: Run, target: FakeTarget, ec2: Any, workspace: ObjectStore) -> None:
    waiting, running, interrupted, failed, succeeded = sorted(
        submission.submit(target, JobSpec(dataset=DATASET, seed=n, requested_by=BOB)) for n in range(5)
    )
    launched(ec2, running)
    ec2.terminate_instances(InstanceIds=launched(ec2, interrupted))
    finish(workspace, failed, status="failed", version=None, digest=None, error="OutOfMemory")
    workspace.create(epoch_key(succeeded, 1), epoch(1).to_json())
    finish(workspace, succeeded)
    output = {entry["job"]: entry for entry in json.loads(run("jobs", "list", "--json").stdout)["jobs"]}
    stages = {job: entry["stage"] for job, entry in output.items()}
    assert stages == {
        waiting: Stage.WAITING,
        running: Stage.RUNNING,
        interrupted: Stage.INTERRUPTED,
        failed: Stage.FAILED,
        succeeded: Stage.SUCCEEDED,
    }
    assert {entry["requested_by"] for entry in output.values()} == {BOB}
    assert run("jobs", "list").stdout.count(" bob ") == 5
    assert (output[succeeded]["epochs"], output[succeeded]["version"], output[failed]["error"]) == (1, 1, "OutOfMemory")
    assert run("jobs", "list", "--limit", "2").stdout.count(DATASET[:12]) == 2


def test_without_a_job_the_list_says_how_to_start_one(run: Run, ec2: Any) -> None:
    assert "petpark train" in run("jobs", "list").stdout


def test_a_record_that_cannot_be_read_is_a_row_of_the_list_and_the_others_are_listed(
    run: Run, workspace: ObjectStore, ec2: Any, job: str
) -> None:
    workspace.create(job_spec_key("20990101-000000-bad0"), b'{"seed":-1}')
    workspace.create(f"{JOBS}foreign/notes.txt", b"hello")
    workspace.create(f"{JOBS}foreign.txt", b"hello")
    result = run("jobs", "list")
    assert result.exit_code == 0, result.output
    output = {entry["job"]: entry for entry in json.loads(run("jobs", "list", "--json").stdout)["jobs"]}
    assert output[job]["stage"] == Stage.WAITING
    for bad in ("20990101-000000-bad0", "foreign", "foreign.txt"):
        assert output[bad]["stage"] == Stage.UNREADABLE
        assert f"jobs/{bad}" in output[bad]["error"]
        assert bad in result.stdout


def test_a_job_is_known_by_the_beginning_of_its_id(run: Run, target: FakeTarget, ec2: Any, job: str) -> None:
    assert f"Job {job}" in run("jobs", "show", job[:-2]).stdout
    other = submission.submit(target, JobSpec(dataset=DATASET, seed=3, requested_by=BOB))
    result = run("jobs", "show", job[:8])
    assert (result.exit_code, result.stderr.startswith("IdAmbiguous: 2 jobs begin with")) == (2, True)
    assert job in result.stderr
    assert other in result.stderr
    assert run("jobs", "show", "19").stderr.startswith("JobMissing: ")


def test_an_id_that_others_begin_with_is_itself(target: FakeTarget, workspace: ObjectStore, job: str) -> None:
    workspace.create(job_spec_key(f"{job}-000001"), workspace.get(job_spec_key(job)))
    assert submission.resolve(target, job) == job
    assert submission.resolve(target, f"{job}-0") == f"{job}-000001"
