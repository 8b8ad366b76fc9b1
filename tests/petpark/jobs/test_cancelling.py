"""Jobs that are cancelled, and logs that are followed."""

from __future__ import annotations

import functools
import json
from typing import Any

import boto3
import pytest

from petpark.errors import (
    JobCancelled,
    JobFinished,
    ReasonMissing,
)
from petpark.jobs import execution_events, executions, job_logs, submission
from petpark.jobs.cancellation import cancel
from petpark.jobs.job_summaries import Stage, summary
from registry.layout.jobs import boot_log_key
from registry.store.object_store import ObjectStore
from tests.petpark.conftest import FakeTarget, Place, Run
from tests.petpark.jobs.conftest import ALICE, BOB, DATASET, finish, launched
from training.errors import JobMissing
from training.job import JobSpec, find_result
from training.jobs.logs import Log


def test_a_job_that_is_cancelled_ends_its_instances_and_says_who_and_why(
    run: Run, place: Place, ec2: Any, workspace: ObjectStore
) -> None:
    place.exported["test"]["training"] = {**place.exported["test"]["training"], "instances": 2.0}
    target = place.target()
    job = submission.submit(target, submission.plan(target, DATASET, [], seed=0, instances=2))
    first, _ = launched(ec2, job, 2)
    assert summary(target, job).instance_id == first
    (other,) = launched(ec2, submission.submit(target, JobSpec(dataset=DATASET, seed=3, requested_by=BOB)))
    output = json.loads(run("jobs", "cancel", job[:-1], "--why", "wrong dataset", "--json").stdout)
    assert (output["job"], output["by"], output["why"]) == (job, ALICE, "wrong dataset")
    assert first in output["instances"]
    assert len(output["instances"]) == 2
    states = {
        machine["InstanceId"]: machine["State"]["Name"]
        for entry in ec2.describe_instances()["Reservations"]
        for machine in entry["Instances"]
    }
    assert {states[each] for each in output["instances"]} <= {"shutting-down", "terminated"}
    assert states[other] in {"pending", "running"}
    assert summary(target, job).stage is Stage.CANCELLED
    result = find_result(workspace, job)
    assert result is not None
    with pytest.raises(JobCancelled, match=r"alice cancelled job .*: wrong dataset"):
        submission.finished(job, result)
    with pytest.raises(JobFinished):
        executions.start_training(target, job)


def test_cancelling_again_ends_what_was_left_and_keeps_the_first_reason(target: FakeTarget, ec2: Any, job: str) -> None:
    assert cancel(target, job, why="first").instances == ()
    (late,) = launched(ec2, job)
    again = cancel(target, job, why="second")
    assert (again.why, again.instances) == ("first", (late,))


def test_what_has_ended_is_unknown_or_lacks_a_reason_is_not_cancelled(
    target: FakeTarget, workspace: ObjectStore, job: str
) -> None:
    with pytest.raises(ReasonMissing):
        cancel(target, job, why=" ")
    with pytest.raises(JobMissing):
        cancel(target, "nothing", why="wrong")
    finish(workspace, job)
    with pytest.raises(JobFinished, match="version 1"):
        cancel(target, job, why="too late")


@pytest.fixture
def logs(target: FakeTarget, ec2: Any) -> Any:
    client: Any = boto3.client("logs", region_name="eu-west-1")
    client.create_log_group(logGroupName=target.outputs.training.log_group)
    yield client
    client.delete_log_group(logGroupName=target.outputs.training.log_group)


def test_what_a_job_said_is_printed_with_what_its_instances_said(
    run: Run, target: FakeTarget, workspace: ObjectStore, logs: Any, job: str
) -> None:
    assert run("jobs", "logs", job).stderr.startswith("LogMissing: ")
    log = Log(job, group=target.outputs.training.log_group, client=logs)
    log.report("epoch", {"epoch": 1, "loss": 0.25, "usage": {"cpu": 0.5}})
    log.report("failed\x1b[2J", {"message": None})
    workspace.create(boot_log_key(job, "i-1"), b"no space left")
    result = run("jobs", "logs", job[:-1])
    assert "epoch: epoch 1, loss 0.25, usage (cpu 0.5)" in result.stdout
    assert "no space left" in result.stdout
    assert "\x1b" not in result.stdout
    output = json.loads(run("jobs", "logs", job, "--json").stdout)
    assert [line["event"] for line in output["log"]] == ["epoch", "failed\x1b[2J"]
    assert output["boot_logs"][0]["lines"] == ["no space left"]


def test_a_log_is_followed_until_no_execution_runs_the_job(
    place: Place, target: FakeTarget, workspace: ObjectStore, logs: Any, job: str
) -> None:
    execution = executions.start_training(target, job)
    log = Log(job, group=target.outputs.training.log_group, client=logs)

    def later() -> None:
        log.report("epoch", {"epoch": 2})
        place.states.executions[execution.arn]["status"] = "SUCCEEDED"

    steps = iter([lambda: log.report("epoch", {"epoch": 1}), later])
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        next(steps, lambda: None)()
        assert len(waited) < 10, "followed on, although the job has ended"

    lines = [str(line.facts.get("epoch")) for line in job_logs.read(target, job, follow=True, pause=pause)]
    assert lines == ["1", "2"]


class PagedLogs:
    """CloudWatch Logs that returns its pages, some of them empty, and then repeats the last token."""

    class exceptions:
        class ResourceNotFoundException(Exception):
            pass

    def __init__(self, pages: list[list[int]]) -> None:
        self.pages = pages

    def get_log_events(self, *, nextToken: str = "0", **_request: Any) -> dict[str, Any]:
        number = int(nextToken)
        epochs = self.pages[number] if number < len(self.pages) else []
        events = [{"timestamp": 0, "message": json.dumps({"event": "epoch", "epoch": epoch})} for epoch in epochs]
        return {"events": events, "nextForwardToken": str(min(number + 1, len(self.pages)))}


@pytest.mark.parametrize("follow", [False, True])
def test_an_empty_page_is_not_the_end_of_a_log(
    target: FakeTarget, workspace: ObjectStore, job: str, monkeypatch: pytest.MonkeyPatch, follow: bool
) -> None:
    logs = PagedLogs([[1], [], [], [2], []])
    monkeypatch.setattr(FakeTarget, "client", lambda *_names, **_options: logs)
    monkeypatch.setattr(executions, "running", lambda *_names: False)
    lines = list(job_logs.read(target, job, follow=follow, pause=lambda _seconds: None))
    assert [line.facts.get("epoch") for line in lines] == [1, 2]


def test_who_stops_watching_is_told_that_the_job_runs_on_and_how_to_stop_it(
    run: Run, target: FakeTarget, ec2: Any, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(execution_events, "follow", functools.partial(execution_events.follow, pause=interrupt))
    ended = run("train", "--resume", job, "--watch")
    assert ended.exit_code == 130
    assert f"Job {job} continues" in ended.stderr
    assert f"petpark train --resume {job} --watch" in ended.stderr
    assert f"petpark jobs cancel {job} --why" in ended.stderr
