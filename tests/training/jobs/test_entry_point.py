"""`python -m training`: what it reads, how it ends, and that a log outage ends nothing."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from moto import mock_aws

from registry.errors import StoreRefused, StoreUnavailable
from registry.layout.jobs import job_spec_key
from registry.layout.variables import Variable
from registry.store.s3_store import S3Store
from tests.training.conftest import REQUESTER
from training.__main__ import FAILED, INTERRUPTED, SUCCEEDED, UNREACHABLE, UNUSABLE, main
from training.errors import Interrupted
from training.job import JobResult, JobSpec, find_result, submit
from training.jobs.logs import Log

SPEC = JobSpec(dataset="0" * 64, seed=1, requested_by=REQUESTER)


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9",
        Variable.JOB: "job",
        Variable.MODEL: "pets",
        Variable.MODEL_STORE: "models",
        Variable.DATA_LAKE: "lake",
        Variable.WORKSPACE: "work",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("training.__main__.torch.set_num_threads", lambda _count: None)
    monkeypatch.setattr("training.__main__.crt_transfer", lambda *_: None)  # moto stands before botocore alone
    with mock_aws():
        client = boto3.client("s3")
        for bucket in ("models", "lake", "work"):
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield S3Store(client, "work")


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.delenv(Variable.JOB, raising=False)
    assert main() == UNUSABLE
    assert "PETPARK_JOB" in capsys.readouterr().err


def test_an_unknown_job_is_a_wrong_environment(workspace: S3Store, capsys: pytest.CaptureFixture[str]):
    assert main() == UNUSABLE
    assert find_result(workspace, "job") is None


def test_a_spec_that_cannot_be_read_is_a_wrong_environment(workspace: S3Store):
    workspace.create(job_spec_key("job"), b"{}")
    assert main() == UNUSABLE


def test_a_job_of_several_instances_needs_the_workers_meeting(
    workspace: S3Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(Variable.RENDEZVOUS, raising=False)
    submit(workspace, "job", replace(SPEC, instances=2))
    assert main() == UNUSABLE
    assert "PETPARK_RENDEZVOUS" in capsys.readouterr().out
    assert find_result(workspace, "job") is None


def test_a_failure_is_stored_and_told(workspace: S3Store, capsys: pytest.CaptureFixture[str]):
    submit(workspace, "job", SPEC)
    assert main() == FAILED
    result = find_result(workspace, "job")
    assert result is not None
    assert result.error == "DatasetMissing"
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["event"], last["error"], last["job"]) == ("failed", "DatasetMissing", "job")


def test_a_job_that_succeeded_before_ends_well_at_once(workspace: S3Store):
    submit(workspace, "job", SPEC)
    workspace.create("jobs/job/result.json", JobResult(job="job", status="succeeded", version=4).to_json())
    assert main() == SUCCEEDED


def test_an_interruption_leaves_no_result(workspace: S3Store, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_arguments: object, **_named: object) -> JobResult:
        raise Interrupted("interrupted after 3 of 9 steps")

    submit(workspace, "job", SPEC)
    monkeypatch.setattr("training.__main__.run_job", interrupted)
    assert main() == INTERRUPTED
    assert find_result(workspace, "job") is None


def test_an_unforeseen_failure_is_a_result_too(workspace: S3Store, monkeypatch: pytest.MonkeyPatch):
    def fail(*_arguments: object, **_named: object) -> JobResult:
        raise ZeroDivisionError("division by zero")

    submit(workspace, "job", SPEC)
    monkeypatch.setattr("training.__main__.run_job", fail)
    assert main() == FAILED
    result = find_result(workspace, "job")
    assert result is not None
    assert (result.error, result.message) == ("ZeroDivisionError", "division by zero")


def test_a_store_that_does_not_answer_is_left_to_another_attempt_and_one_that_refuses_is_a_failure(
    workspace: S3Store, monkeypatch: pytest.MonkeyPatch
):
    without_credentials = StoreRefused("get x", "Unable to locate credentials")
    without_credentials.__cause__ = NoCredentialsError()  # the metadata service did not answer
    errors = [StoreUnavailable("get x", "503"), without_credentials, StoreRefused("get x", "AccessDenied")]

    def fail(*_arguments: object, **_named: object) -> JobResult:
        raise errors.pop(0)

    submit(workspace, "job", SPEC)
    monkeypatch.setattr("training.__main__.run_job", fail)
    assert main() == UNREACHABLE
    assert main() == UNREACHABLE
    assert find_result(workspace, "job") is None
    assert main() == FAILED
    result = find_result(workspace, "job")
    assert result is not None
    assert result.error == "StoreRefused"


def test_a_store_that_takes_no_result_leaves_the_training_a_failure(
    workspace: S3Store, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_arguments: object, **_named: object) -> JobResult:
        raise StoreRefused("put x", "AccessDenied")

    submit(workspace, "job", SPEC)
    monkeypatch.setattr("training.__main__.run_job", refuse)
    monkeypatch.setattr("training.__main__.store_result", refuse)
    assert main() == FAILED


def test_a_log_group_gets_the_lines(workspace: S3Store, monkeypatch: pytest.MonkeyPatch):
    logs = boto3.client("logs")
    logs.create_log_group(logGroupName="/petpark/training")
    monkeypatch.setenv(Variable.LOG_GROUP, "/petpark/training")
    submit(workspace, "job", SPEC)
    assert main() == FAILED
    found = logs.get_log_events(logGroupName="/petpark/training", logStreamName="job")["events"]
    assert [json.loads(event.get("message", ""))["event"] for event in found][-1] == "failed"


def test_a_log_group_that_is_not_there_stops_nothing(
    workspace: S3Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(Variable.LOG_GROUP, "/petpark/nowhere")
    submit(workspace, "job", SPEC)
    assert main() == FAILED
    result = find_result(workspace, "job")
    assert result is not None
    assert result.error == "DatasetMissing"
    assert "no more lines are sent to log group /petpark/nowhere" in capsys.readouterr().err


def test_a_log_outage_is_told_once_and_stops_nothing(workspace: S3Store, capsys: pytest.CaptureFixture[str]):
    logs = boto3.client("logs")
    logs.create_log_group(logGroupName="/petpark/training")
    log = Log("job", group="/petpark/training", client=logs)
    log.report("first", {})
    logs.delete_log_group(logGroupName="/petpark/training")
    for number in range(5):
        log.report("later", {"number": number})
    text = capsys.readouterr()
    assert len(text.out.splitlines()) == 6
    assert text.err.count("no more lines are sent") == 1


@pytest.mark.parametrize(
    ("answers", "sent"),
    [
        ([False, False, False, True], 3),
        ([False, False, True, False, False, True], 6),
        ([False, True] * 4, 8),
    ],
)
def test_only_three_lines_in_a_row_that_are_not_sent_end_the_sending(answers: list[bool], sent: int):
    requests: list[str] = []

    class Logs:
        def create_log_stream(self, **_request: str) -> None: ...

        def put_log_events(self, **request: Any) -> None:
            requests.append(request["logEvents"][0]["message"])
            if not answers[len(requests) - 1]:
                raise OSError("no answer")

    client: Any = Logs()
    log = Log("job", group="/petpark/training", client=client)
    for number in range(len(answers)):
        log.report("epoch", {"number": number})
    assert len(requests) == sent


def test_a_console_that_nobody_reads_any_more_stops_nothing(monkeypatch: pytest.MonkeyPatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as console:
        monkeypatch.setattr(sys, "stdout", console)
        Log("job").report("said to nobody", {})
        with suppress(BrokenPipeError):  # what is still in its buffer
            console.close()


def test_a_resumed_job_goes_on_in_its_log_stream(workspace: S3Store):
    logs = boto3.client("logs")
    logs.create_log_group(logGroupName="/petpark/training")
    for machine in ("first", "second"):
        Log("job", group="/petpark/training", client=logs).report(machine, {})
    found = logs.get_log_events(logGroupName="/petpark/training", logStreamName="job")["events"]
    assert [json.loads(event.get("message", ""))["event"] for event in found] == ["first", "second"]
