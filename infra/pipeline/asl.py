"""States of Amazon States Language in JSONata, as plain dictionaries. Pure.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

type State = dict[str, Any]
type States = dict[str, State]

WAITING = ".waitForTaskToken"
"""Ending of resources that wait until somebody answers a task token."""

# Names of S3's refusals as AWS's SDK has them, and as older integrations do.
# https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
NO_SUCH_KEY = ["S3.NoSuchKeyException", "S3.NoSuchKey"]
_PASSING = ["States.TaskFailed"]
_ANSWERED = {"ErrorEquals": NO_SUCH_KEY, "MaxAttempts": 0}
"""An answer, not a failure."""


def jsonata(expression: str) -> str:
    """An expression that Step Functions evaluates."""
    return f"{{% {expression} %}}"


def literal(value: object) -> str:
    """A value as it stands within an expression: JSON is JSONata."""
    return json.dumps(value, sort_keys=True)


def sdk(service: str, action: str, arguments: Any, **more: Any) -> State:
    """A task that calls an AWS API, and tries again for a while when it does not answer."""
    return task(f"arn:aws:states:::aws-sdk:{service}:{action}", arguments, **more)


def task(resource: str, arguments: Any, **more: Any) -> State:
    """A task with a time limit; `more` are further fields of the state."""
    retry = {
        "ErrorEquals": _PASSING,
        "IntervalSeconds": 2,
        "MaxAttempts": 3,
        "BackoffRate": 2,
        "JitterStrategy": "FULL",
    }
    return {
        "Type": "Task",
        "Resource": resource,
        "Arguments": arguments,
        "TimeoutSeconds": 60,
        "Retry": [_ANSWERED, retry],
    } | more


def token_task(bucket: str, key: str, body: State, *, heartbeat: int | str, timeout: int | str, **more: Any) -> State:
    """A task that stores its token in S3, and waits until somebody answers it.

    `key` is an expression; `body` an object, because Step Functions writes a text in quotes. It is not retried: those
    who had the old token must not answer for the new attempt.
    """
    arguments = {"Bucket": bucket, "Key": jsonata(key), "Body": body, "ContentType": "application/json"}
    limits = {"HeartbeatSeconds": heartbeat, "TimeoutSeconds": timeout}
    return {"Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:s3:putObject{WAITING}", "Arguments": arguments} | (
        limits | more
    )


def catch(errors: Sequence[str], to: str, **assign: str) -> dict[str, Any]:
    """What follows an error; `assign` are expressions over `$states.errorOutput`."""
    caught: dict[str, Any] = {"ErrorEquals": list(errors), "Next": to}
    return {**caught, "Assign": {name: jsonata(value) for name, value in assign.items()}} if assign else caught


def choice(*rules: tuple[str, str], default: str, comment: str = "") -> State:
    """Go where the first condition that holds leads."""
    choices = [{"Condition": jsonata(condition), "Next": to} for condition, to in rules]
    return {"Type": "Choice", **({"Comment": comment} if comment else {}), "Choices": choices, "Default": default}


def fail(error: str, cause: str, *, computed: bool = False) -> State:
    """A named end; `cause` is an expression, and so is `error` where it is `computed`."""
    return {"Type": "Fail", "Error": jsonata(error) if computed else error, "Cause": jsonata(cause)}


def assign(values: Mapping[str, Any], to: str, comment: str = "") -> State:
    """Set variables, which are JSON with expressions in it."""
    return {"Type": "Pass", **({"Comment": comment} if comment else {}), "Assign": dict(values), "Next": to}


def machine(comment: str, start: str, states: States, *, timeout: int) -> dict[str, Any]:
    """A whole definition; an execution ends after `timeout` seconds whatever happens."""
    return {
        "Comment": comment,
        "QueryLanguage": "JSONata",
        "StartAt": start,
        "TimeoutSeconds": timeout,
        "States": states,
    }


def following(state: State) -> list[tuple[str, str]]:
    """Where a state may lead: next state and label; empty for an end."""
    found = [(rule["Next"], rule["Condition"]) for rule in state.get("Choices", [])]
    found += [(rule["Next"], ", ".join(rule["ErrorEquals"])) for rule in state.get("Catch", [])]
    for field, label in (("Default", "otherwise"), ("Next", "")):
        if field in state:
            found.append((state[field], label))
    return found
