"""Parts of a state machine: retries, errors, and where each state leads."""

from typing import Any

import pytest

from infra.pipeline.asl import catch, choice, fail, following, machine, sdk, token_task
from tests.infra.pipeline.asl_interpreter import Refused, run


def test_a_call_of_aws_ends_within_a_minute_and_is_repeated_unless_the_answer_is_that_there_is_no_such_object():
    state = sdk("s3", "getObject", {"Bucket": "b"}, Next="Done")
    assert state["Resource"] == "arn:aws:states:::aws-sdk:s3:getObject"
    assert (state["TimeoutSeconds"], state["Arguments"], state["Next"]) == (60, {"Bucket": "b"}, "Done")
    answered, failed = state["Retry"]
    assert answered == {"ErrorEquals": ["S3.NoSuchKeyException", "S3.NoSuchKey"], "MaxAttempts": 0}
    assert failed == {
        "ErrorEquals": ["States.TaskFailed"],
        "IntervalSeconds": 2,
        "MaxAttempts": 3,
        "BackoffRate": 2,
        "JitterStrategy": "FULL",
    }
    assert sdk("s3", "getObject", {}, Retry=[])["Retry"] == []


def test_a_task_that_waits_for_its_token_is_not_repeated():
    state = token_task("bucket", '"key"', {"token": "t"}, heartbeat=30, timeout=90, Next="Done")
    assert state["Resource"].endswith(":s3:putObject.waitForTaskToken")
    assert (state["HeartbeatSeconds"], state["TimeoutSeconds"]) == (30, 90)
    assert state["Arguments"] == {
        "Bucket": "bucket",
        "Key": '{% "key" %}',
        "Body": {"token": "t"},
        "ContentType": "application/json",
    }
    assert "Retry" not in state


def test_a_state_leads_where_its_rules_its_errors_and_its_default_say():
    assert choice(("$a", "A"), ("$b", "B"), default="C") == {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $a %}", "Next": "A"}, {"Condition": "{% $b %}", "Next": "B"}],
        "Default": "C",
    }
    assert following(choice(("$a", "A"), default="C")) == [("A", "{% $a %}"), ("C", "otherwise")]
    task = sdk("s3", "getObject", {}, Catch=[catch(["States.ALL"], "Failed", why="'x'")], Next="Done")
    assert following(task) == [("Failed", "States.ALL"), ("Done", "")]
    assert task["Catch"] == [{"ErrorEquals": ["States.ALL"], "Next": "Failed", "Assign": {"why": "{% 'x' %}"}}]
    assert following({"Type": "Succeed"}) == []


def test_a_failure_names_its_error_and_a_computed_one_without_the_prefix_that_aws_reserves():
    assert fail("SpendCap", '"why"') == {"Type": "Fail", "Error": "SpendCap", "Cause": '{% "why" %}'}
    assert fail("$e", '"why"', computed=True)["Error"] == "{% $replace($e, /^States[.]/, '') %}"


def test_a_machine_is_in_jsonata_and_has_a_timeout():
    made = machine("what it does", "First", {"First": {"Type": "Succeed"}}, timeout=9)
    assert (made["QueryLanguage"], made["StartAt"], made["TimeoutSeconds"]) == ("JSONata", "First", 9)


@pytest.mark.parametrize(
    ("error", "taken"),
    [
        ("States.QueryEvaluationError", True),
        ("States.Timeout", True),
        ("S3.NoSuchKey", True),
        ("States.DataLimitExceeded", False),
        ("States.Runtime", False),
    ],
)
def test_a_catcher_of_everything_takes_neither_too_much_data_nor_a_fault_of_the_runtime(error: str, taken: bool):
    def refuse(_state: str, _arguments: Any) -> Any:
        raise Refused(error)

    states = {
        "Read": sdk("s3", "getObject", {"Bucket": "b"}, Catch=[catch(["States.ALL"], "Done")], Next="Done"),
        "Done": {"Type": "Succeed"},
    }
    ended = run(machine("", "Read", states, timeout=60), {}, refuse)
    assert (ended.status == "SUCCEEDED") is taken
    assert ended.error == ("" if taken else error)
