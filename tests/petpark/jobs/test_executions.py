"""Jobs as executions of the state machine: started once, followed, stopped, and listed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner, Result

from petpark.__main__ import app
from petpark.errors import (
    JobCancelled,
    JobFailed,
    JobFinished,
    JobInterrupted,
    NoCapacity,
    OperatorError,
    StackOutdated,
)
from petpark.jobs import execution_events, executions, job_logs
from petpark.jobs.execution_events import CostIncreased, History, StateEntered
from petpark.jobs.executions import Execution
from petpark.jobs.spending import Spending, hourly_price
from petpark.jobs.submission import EpochFinished, Finished
from registry.clock import utc_now
from registry.layout.jobs import epoch_key, job_launch_key, job_order_key, job_result_key
from registry.layout.workspace import spending_prefix
from registry.store.memory_store import MemoryStore
from tests.petpark.conftest import FakeTarget, Place
from tests.petpark.jobs.states import AT, OUTPUTS, StepFunctions, opener
from tests.registry.aging_store import AgingStore
from training.job import EpochRecord, JobResult, JobSpec, store_result, submit

JOB = "20261130-120000-3fa9"
REQUESTER = "arn:aws:sts::123456789012:assumed-role/publisher/alice"
ARN = f"{OUTPUTS['job'].removesuffix(':live').replace('stateMachine', 'execution')}:{JOB}"


@pytest.fixture
def states() -> StepFunctions:
    return StepFunctions()


@pytest.fixture
def target(place: Place, states: StepFunctions) -> FakeTarget:
    place.buckets["workspace"] = workspace = MemoryStore()
    submit(workspace, JOB, JobSpec(dataset="d" * 64, seed=1, requested_by=REQUESTER, max_seconds=900))
    return opener(place, states)()


@pytest.fixture
def run(place: Place, states: StepFunctions, target: FakeTarget) -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(app, [*words], obj=opener(place, states))


def workspace(target: FakeTarget) -> Any:
    return target.buckets["workspace"]


def end(states: StepFunctions, status: str, **more: str) -> None:
    states.executions[ARN] |= {"status": status, **more}


def test_a_training_is_started_with_what_its_spec_says(target: FakeTarget, states: StepFunctions) -> None:
    started = executions.start_training(target, JOB, on_demand=True)
    assert started == Execution(job=JOB, arn=ARN)
    given = json.loads(states.executions[ARN]["input"])
    assert given == {
        "job": JOB,
        "purpose": "train",
        "machine": "training",
        "instances": 1,
        "on_demand": True,
        "max_seconds": 900,
        "requested_by": REQUESTER,
        "pipeline": None,
        "inputs": {},
    }


def test_while_a_job_runs_it_is_not_started_again_and_afterwards_under_another_name(
    target: FakeTarget, states: StepFunctions
) -> None:
    first = executions.start_training(target, JOB)
    assert executions.start_training(target, JOB) == first
    assert executions.start_training(target, JOB, on_demand=True) == first, "other input, same job"
    end(states, "FAILED")
    assert executions.start_training(target, JOB).name == f"{JOB}-r2"
    assert len(states.executions) == 2


def test_a_job_that_succeeded_is_not_started_and_one_that_failed_is(target: FakeTarget, states: StepFunctions) -> None:
    store_result(workspace(target), JobResult(job=JOB, status="failed", error="LossNotFinite", message="x"))
    assert executions.start_training(target, JOB).name == JOB
    workspace(target).delete(job_result_key(JOB))
    store_result(workspace(target), JobResult(job=JOB, status="succeeded", version=1))
    with pytest.raises(JobFinished):
        executions.start_training(target, JOB)


def test_a_stack_without_a_pipeline_is_named(place: Place) -> None:
    del place.exported["test"]["pipeline"]
    with pytest.raises(StackOutdated, match="Stack test has no pipeline"):
        executions.machines(place.target())


def followed(target: FakeTarget) -> list[Any]:
    return list(execution_events.follow(target, Execution(job=JOB, arn=ARN), pause=lambda _seconds: None))


def test_following_tells_states_epochs_and_money_once_and_the_end_last(
    target: FakeTarget, states: StepFunctions
) -> None:
    executions.start_training(target, JOB)
    store, attempt = workspace(target), f"{JOB}.1"
    record = EpochRecord(epoch=1, of=2, train_loss=1, loss=1, accuracy=0.5, learning_rate=0.1, seconds=2)
    failure = {"resource": "putObject.waitForTaskToken", "error": "Interrupted", "cause": "spot notice: terminate"}
    answer = {"resource": "getObject", "error": "S3.NoSuchKeyException", "cause": "no result"}
    looks = iter(range(9))

    def on_look(_execution: dict[str, Any]) -> None:
        match next(looks):
            case 0:
                states.enter(ARN, "Check", "Known", taskFailedEventDetails=answer)
                states.enter(ARN, "LaunchSpot", "Boot", "Run")
                launch = {"instances": ["i-1"], "type": "g5.xlarge", "market": "spot", "subnet": "s"}
                store.create(job_launch_key(JOB, attempt), json.dumps(launch).encode())
            case 1:
                store.create(epoch_key(JOB, 1), record.to_json())
                states.enter(ARN, taskFailedEventDetails=failure)
            case 2:
                store.create(f"{spending_prefix(f'{utc_now():%Y-%m}')}{attempt}/paid/1234567", b"")
                store_result(store, JobResult(job=JOB, status="succeeded", version=3))
                end(states, "SUCCEEDED")
            case _:
                pytest.fail("it ended")

    states.on_look = on_look
    seen = followed(target)
    assert [each.state for each in seen if isinstance(each, StateEntered)] == ["LaunchSpot", "Boot", "Run", ""]
    assert [each.cause for each in seen if isinstance(each, StateEntered)][-1] == "spot notice: terminate"
    assert [each.record.epoch for each in seen if isinstance(each, EpochFinished)] == [1]
    assert [each.usd for each in seen if isinstance(each, CostIncreased)][-1] == 1.234567
    assert isinstance(seen[-1], Finished)
    assert seen[-1].result.version == 3


@pytest.mark.parametrize(
    ("status", "error", "kind", "step"),
    [
        ("FAILED", "CodeFailed", JobFailed, "Fix the cause"),
        ("FAILED", "SpendCap", JobFailed, "Raise the named limit"),
        ("FAILED", "TimedOut", JobFailed, "--max-minutes"),
        ("FAILED", "NoCapacity", NoCapacity, "--on-demand"),
        ("FAILED", "TooManyAttempts", JobInterrupted, f"petpark train --resume {JOB}"),
        ("ABORTED", "", JobInterrupted, f"petpark train --resume {JOB}"),
        ("FAILED", "Cancelled", JobCancelled, "petpark jobs list"),
    ],
)
def test_every_other_end_is_an_error_with_its_cause_and_what_to_do(
    target: FakeTarget, states: StepFunctions, status: str, error: str, kind: type[OperatorError], step: str
) -> None:
    executions.start_training(target, JOB)
    end(states, status, error=error, cause="the reason")
    with pytest.raises(kind) as caught:
        followed(target)
    assert "the reason" in caught.value.message
    assert step in caught.value.next_step


def test_a_history_is_read_once_however_long_it_is(target: FakeTarget, states: StepFunctions) -> None:
    history = History(target, ARN)
    states.enter(ARN, "A", "B", "C", "D", "E")
    assert [event["id"] for event in history.new()] == [1, 2, 3, 4, 5]
    states.enter(ARN, "F", "G", "H")
    assert [event["id"] for event in history.new()] == [6, 7, 8]
    assert history.new() == []


def test_what_runs_is_paid_by_the_hour_and_what_ended_by_the_books(target: FakeTarget) -> None:
    store = workspace(target)
    launch = {"instances": ["i-1", "i-2"], "type": "g5.xlarge", "market": "spot", "subnet": "s"}
    store.create(job_launch_key(JOB, f"{JOB}.1"), json.dumps(launch).encode())
    later = Spending(target, JOB, clock=lambda: utc_now() + timedelta(0))
    assert later.so_far() == pytest.approx(0, abs=0.01)
    assert hourly_price("eu-west-1", "g5.xlarge") > 0.5
    assert hourly_price("eu-west-1", "x9.nano") == hourly_price("nowhere-1", "g5.xlarge") == 0
    store.create(f"{spending_prefix(f'{utc_now():%Y-%m}')}{JOB}.1/paid/500000", b"")
    assert Spending(target, JOB).so_far() == 0.5
    assert Spending(target, "another").so_far() == 0


def test_the_command_starts_watches_and_ends_with_the_job(
    run: Callable[..., Result], target: FakeTarget, states: StepFunctions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("petpark.commands.training.train.submit", lambda *_words: JOB)
    monkeypatch.setattr("petpark.jobs.job_details.job_summaries.training_instances.newest", lambda *_: None)
    result = run("train", "--dataset", "d" * 64, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"job": JOB, "execution": ARN})
    states.enter(ARN, "Boot", "Run")

    def on_look(execution: dict[str, Any]) -> None:
        store_result(workspace(target), JobResult(job=JOB, status="succeeded", outcome="published"))
        execution.update(status="SUCCEEDED")

    states.on_look = lambda _execution: setattr(states, "on_look", on_look)
    watched = run("train", "--resume", JOB, "--watch")
    assert watched.exit_code == 0, watched.output
    assert "the instance boots\nruns\n" in watched.stderr
    assert "published" in watched.stdout
    again = run("train", "--resume", JOB)
    assert (again.exit_code, again.stderr.startswith("JobFinished")) == (1, True)


def test_ctrl_c_leaves_a_watched_job_alone(
    run: Callable[..., Result], target: FakeTarget, states: StepFunctions
) -> None:
    def interrupt(_execution: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    executions.start_training(target, JOB)
    states.on_look = lambda _execution: setattr(states, "on_look", interrupt)
    result = run("train", "--resume", JOB, "--watch")
    assert (result.exit_code, result.stderr.splitlines()[-2]) == (130, f"StillRunning: Job {JOB} continues.")
    assert states.executions[ARN]["status"] == "RUNNING"


def test_cancelling_stops_the_executions_first(
    run: Callable[..., Result], target: FakeTarget, states: StepFunctions, monkeypatch: pytest.MonkeyPatch
) -> None:
    executions.start_training(target, JOB)
    order: list[str] = []
    monkeypatch.setattr("petpark.jobs.cancellation.training_instances.of_job", lambda *_: order.append("ec2") or [])
    monkeypatch.setattr("petpark.jobs.cancellation.training_instances.end", lambda *_: None)
    stop = states.stop_execution
    states.stop_execution = lambda **named: (order.append("states"), stop(**named))[1]  # pyright: ignore[reportAttributeAccessIssue]
    result = run("jobs", "cancel", JOB, "--why", "wrong dataset", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["executions"] == [JOB]
    assert order == ["states", "ec2"]
    assert states.executions[ARN]["cause"] == "wrong dataset"


def test_jobs_are_listed_by_when_they_were_begun_and_not_by_name(
    run: Callable[..., Result], place: Place, target: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("petpark.jobs.job_summaries.training_instances.by_job", lambda *_: {})
    place.buckets["workspace"] = store = AgingStore(workspace(target))  # pyright: ignore[reportArgumentType]
    spec = JobSpec(dataset="d" * 64, seed=1, requested_by=REQUESTER, max_seconds=900)
    for job in ("z-second", "a-third"):
        store.elapse(timedelta(hours=1))
        submit(store, job, spec)
    store.elapse(timedelta(hours=1))
    store_result(store, JobResult(job=JOB, status="failed", error="x", message="x"))  # its end makes it no younger
    listed = json.loads(run("jobs", "list", "--json").stdout)["jobs"]
    assert [each["job"] for each in listed] == ["a-third", "z-second", JOB]


def test_a_job_that_trains_nothing_is_listed_shown_and_cancelled(
    run: Callable[..., Result], target: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("petpark.jobs.job_summaries.training_instances.by_job", lambda *_: {})
    monkeypatch.setattr("petpark.jobs.job_summaries.training_instances.newest", lambda *_: None)
    order = {
        "purpose": "move",
        "requested_by": REQUESTER,
        "pipeline": "p-1",
        "inputs": {"channel": "prod", "version": 3},
    }
    workspace(target).create(job_order_key("move-1"), json.dumps(order).encode())
    store_result(workspace(target), JobResult(job="move-1", status="succeeded", outcome="refused", message="no gates"))
    listed = json.loads(run("jobs", "list", "--json").stdout)["jobs"]
    assert [(job["job"], job["purpose"], job["outcome"]) for job in listed] == [
        ("move-1", "move", "refused"),
        (JOB, "train", None),
    ]
    assert "move: refused" in run("jobs", "list").stdout
    shown = run("jobs", "show", "move-1")
    for part in ("prod", "no gates", "p-1"):
        assert part in shown.stdout
    refused = run("jobs", "cancel", "move-1", "--why", "x")
    assert (refused.exit_code, refused.stderr.startswith("JobFinished")) == (1, True)


def test_a_job_is_not_run_again_when_its_execution_names_are_used_up(target: FakeTarget, states: StepFunctions) -> None:
    states.on_start = lambda execution: execution.update(status="FAILED")
    made = {executions.start_training(target, JOB).name for _ in range(99)}
    assert made == {JOB, *(f"{JOB}-r{number}" for number in range(2, 100))}
    with pytest.raises(JobFinished, match=f"{JOB} has been run 99 times"):
        executions.start_training(target, JOB)


@dataclass
class Logs:
    """CloudWatch Logs with one stream, in pages of one event."""

    group: str
    stream: str
    lines: list[str]
    exceptions: ClassVar[Any] = SimpleNamespace(ResourceNotFoundException=LookupError)

    def get_log_events(self, *, logGroupName: str, logStreamName: str, nextToken: str = "0", **_more: Any) -> Any:
        if (logGroupName, logStreamName) != (self.group, self.stream):
            raise LookupError
        at = int(nextToken)
        page = [{"timestamp": 0, "message": line} for line in self.lines[at : at + 1]]
        return {"events": page, "nextForwardToken": str(at + len(page))}


def test_the_log_of_a_job_on_a_small_machine_is_printed_and_followed_until_its_execution_has_ended(
    target: FakeTarget, states: StepFunctions
) -> None:
    order = {"purpose": "move", "requested_by": REQUESTER, "pipeline": "p-1", "inputs": {}}
    workspace(target).create(job_order_key("move-1"), json.dumps(order).encode())
    logs = Logs("/petpark/test/jobs", "move-1", ['{"event": "works"}'])
    target._clients["logs", "publisher"] = logs
    assert [line.event for line in job_logs.read(target, "move-1")] == ["works"]
    arn = f"{ARN.rpartition(':')[0]}:move-1-abc"
    states.executions[arn] = {"executionArn": arn, "status": "RUNNING", "input": "{}", "startDate": AT}

    def pause(_seconds: float) -> None:
        logs.lines.append('{"event": "ends"}') if len(logs.lines) == 1 else None
        states.executions[arn]["status"] = "SUCCEEDED"

    assert [line.event for line in job_logs.read(target, "move-1", follow=True, pause=pause)] == ["works", "ends"]
    assert job_logs.group(target, JOB) == target.outputs.training.log_group


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (
            {"status": "FAILED", "error": "NoCapacity", "cause": "no type in any zone"},
            "NoCapacity: no type in any zone",
        ),
        ({"status": "ABORTED"}, "ABORTED: Step Functions recorded no cause"),
        ({"status": "TIMED_OUT", "error": "", "cause": ""}, "TIMED_OUT: Step Functions recorded no cause"),
    ],
)
def test_a_job_without_a_log_is_explained_by_the_end_of_its_newest_execution(
    ended: dict[str, str], expected: str, target: FakeTarget, states: StepFunctions
) -> None:
    for number in range(3):  # older ones succeeded, and another job's is newer
        arn = f"{ARN}-r{number}"
        states.executions[arn] = {"executionArn": arn, "status": "SUCCEEDED", "input": "{}", "startDate": AT}
    states.executions[ARN] = {"executionArn": ARN, "input": "{}", "startDate": AT, **ended}
    other = f"{ARN[:-1]}0"
    states.executions[other] = {"executionArn": other, "status": "FAILED", "input": "{}", "startDate": AT}
    problem = job_logs.missing(target, JOB)
    assert f"its execution {JOB} ended as {expected}" in str(problem)
    assert ARN in problem.next_step
    states.executions.pop(ARN)
    assert "none of its instances has started" in str(job_logs.missing(target, JOB))


def test_a_log_lines_empty_facts_are_left_out(target: FakeTarget) -> None:
    line = '{"event": "ends", "error": "CodeFailed", "cause": "", "status": 0}'
    target._clients["logs", "publisher"] = Logs(target.outputs.training.log_group, JOB, [line])
    (seen,) = job_logs.read(target, JOB)
    assert str(seen).endswith("ends: error CodeFailed, status 0")
