"""Step Functions and Scheduler as a pipeline needs them."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.rehearsal.emulator.conftest import allow, document, trust

Client = Callable[[str], Any]
Run = Callable[..., str]


@pytest.fixture
def role(client: Client, name: str) -> str:
    """A role that Step Functions takes, and that may send messages and run instances."""
    iam = client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(Service="states.amazonaws.com"))["Role"][
        "Arn"
    ]
    able = document(allow(["sqs:SendMessage", "ec2:RunInstances"]))
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=able)
    return arn


@pytest.fixture
def run(client: Client, name: str, role: str) -> Run:
    """`run(states, input=…)` starts an execution that begins with the first state, and returns its ARN."""

    def run(states: Mapping[str, Any], given: Any = None, **more: Any) -> str:
        definition = {"StartAt": next(iter(states)), "States": states, "TimeoutSeconds": 30} | more
        machine = client("stepfunctions").create_state_machine(
            name=name, definition=json.dumps(definition), roleArn=role
        )["stateMachineArn"]
        started = client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(given or {}))
        arn: str = started["executionArn"]
        return arn

    return run


@pytest.fixture
def queue(client: Client, name: str) -> str:
    url: str = client("sqs").create_queue(QueueName=name)["QueueUrl"]
    return url


def receive(client: Client, queue: str) -> Any:
    """The body of the next message."""
    for _ in range(4):
        for message in client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=5).get("Messages", []):
            client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            return json.loads(message["Body"])
    raise AssertionError("no message came")


def finished(client: Client, execution: str) -> dict[str, Any]:
    """The execution, once it runs no more."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        described: dict[str, Any] = client("stepfunctions").describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            return described
    raise AssertionError("the execution still runs")


def task(queue: str, **more: Any) -> dict[str, Any]:
    """A task that sends its token to the queue and waits for it."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token"}},
        "TimeoutSeconds": 20,
        "End": True,
    } | more


@pytest.mark.parametrize("backwards", [False, True])
def test_a_history_comes_in_pages_each_event_once(client: Client, run: Run, backwards: bool) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html"""
    execution = run({"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "End": True}})
    assert finished(client, execution)["status"] == "SUCCEEDED"
    states = client("stepfunctions")
    whole = states.get_execution_history(executionArn=execution, reverseOrder=backwards)["events"]
    pages = list(
        states.get_paginator("get_execution_history").paginate(
            executionArn=execution, reverseOrder=backwards, PaginationConfig={"PageSize": 4}
        )
    )
    assert [len(page["events"]) for page in pages] == [4, 2]
    assert [event for page in pages for event in page["events"]] == whole
    assert [event["id"] for event in whole] == sorted((event["id"] for event in whole), reverse=backwards)


def test_a_retried_task_has_a_new_token_and_the_old_ones_worker_is_refused(
    client: Client, run: Run, queue: str
) -> None:
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}
    execution = run({"Train": task(queue, Retry=[retry])})
    states = client("stepfunctions")
    first = receive(client, queue)["token"]
    states.send_task_failure(taskToken=first, error="Interrupted")
    second = receive(client, queue)["token"]
    assert second != first
    with pytest.raises((states.exceptions.TaskTimedOut, states.exceptions.TaskDoesNotExist)):
        states.send_task_success(taskToken=first, output='"zombie"')
    states.send_task_success(taskToken=second, output='"done"')
    assert finished(client, execution)["output"] == '"done"'


def test_a_missing_heartbeat_has_another_error_than_a_timeout(client: Client, run: Run, queue: str) -> None:
    caught = [
        {"ErrorEquals": [error], "Next": error.removeprefix("States.")}
        for error in ("States.HeartbeatTimeout", "States.Timeout")
    ]
    ends = {catch["Next"]: {"Type": "Fail", "Error": catch["Next"]} for catch in caught}
    execution = run({"Silent": task(queue, HeartbeatSeconds=1, Catch=caught), **ends})
    assert finished(client, execution)["error"] == "HeartbeatTimeout"


def test_task_results_are_accepted_while_another_execution_starts(client: Client, run: Run) -> None:
    states: dict[str, Any] = {f"S{number}": {"Type": "Pass", "Next": f"S{number + 1}"} for number in range(300)}
    execution = run({**states, "S300": {"Type": "Succeed"}})
    tasks = client("stepfunctions")
    with pytest.raises((tasks.exceptions.TaskDoesNotExist, tasks.exceptions.InvalidToken)) as refused:
        tasks.send_task_success(taskToken="nobody's", output="{}")
    assert refused.value.response["ResponseMetadata"]["RetryAttempts"] == 0, "at once"
    assert finished(client, execution)["status"] == "SUCCEEDED"


def test_an_execution_that_waits_for_a_token_can_be_stopped(client: Client, run: Run, queue: str) -> None:
    execution = run({"Wait": task(queue)})
    receive(client, queue)
    client("stepfunctions").stop_execution(executionArn=execution)
    assert finished(client, execution)["status"] == "ABORTED"


def test_user_data_reaches_an_instance_encoded_once(client: Client, run: Run) -> None:
    text = "#!/bin/sh\nexit 0\n"
    launch = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:ec2:runInstances",
        "Parameters": {
            "ImageId": "ami-1",
            "MinCount": 1,
            "MaxCount": 1,
            "UserData.$": "States.Base64Encode($.text)",
        },
        "OutputPath": "$.Instances[0].InstanceId",
        "End": True,
    }
    instance = json.loads(finished(client, run({"Launch": launch}, {"text": text}))["output"])
    answer = client("ec2").describe_instance_attribute(InstanceId=instance, Attribute="userData")
    assert base64.b64decode(answer["UserData"]["Value"]).decode() == text


def test_jsonata_needs_no_java(client: Client, run: Run) -> None:
    state = {"Type": "Pass", "Output": {"best": "{% $max($states.input.scores) %}"}, "End": True}
    execution = run({"Choose": state}, {"scores": [0.91, 0.97, 0.94]}, QueryLanguage="JSONata")
    assert json.loads(finished(client, execution)["output"]) == {"best": 0.97}


def test_jsonata_has_the_functions_that_step_functions_adds_and_takes_any_text(client: Client, run: Run) -> None:
    text = 'he said "no"\nand left'
    output = {
        "hash": "{% $hash($said, 'SHA-256') %}",
        "parsed": "{% $parse('{\"a\": [1, null]}') %}",
        "said": "{% $said %}",
        "different": "{% $uuid() != $uuid() %}",
    }
    states = {
        "Hear": {"Type": "Pass", "Assign": {"said": "{% $states.input.said %}"}, "Next": "Tell"},
        "Tell": {"Type": "Pass", "Output": output, "End": True},
    }
    execution = run(states, {"said": text}, QueryLanguage="JSONata")
    assert json.loads(finished(client, execution)["output"]) == {
        "hash": hashlib.sha256(text.encode()).hexdigest(),
        "parsed": {"a": [1, None]},
        "said": text,
        "different": True,
    }


def test_a_schedule_calls_its_target_when_its_time_has_come(client: Client, queue: str, name: str) -> None:
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust(Service="scheduler.amazonaws.com"))[
        "Role"
    ]["Arn"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression=f"at({datetime.now(UTC):%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target={"Arn": arn, "RoleArn": role, "Input": '{"retrain": true}'},
    )
    assert receive(client, queue) == {"retrain": True}
    with pytest.raises(client("scheduler").exceptions.ResourceNotFoundException):
        client("scheduler").get_schedule(Name=name)
