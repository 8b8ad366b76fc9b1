"""States of Amazon States Language in JSONata, as plain dictionaries. Pure.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

type State = dict[str, Any]
type States = dict[str, State]

WAITING = ".waitForTaskToken"
"""Suffix of resources that wait for a task token."""

# Error names of the AWS SDK integration, and of older integrations.
# https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
NO_SUCH_KEY = ["S3.NoSuchKeyException", "S3.NoSuchKey"]
_PASSING = ["States.TaskFailed"]
_ANSWERED = {"ErrorEquals": NO_SUCH_KEY, "MaxAttempts": 0}
"""An answer, not a failure."""


ERROR_CAUSE: Final = (
    '($exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : "Step Functions gives no cause")'
)
"""Why a caught state failed. An error output need not have a cause, and an undefined value fails the execution.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""


def jsonata(expression: str) -> str:
    """An expression that Step Functions evaluates."""
    return f"{{% {expression} %}}"


def literal(value: object) -> str:
    """A literal within an expression: JSON is valid JSONata."""
    return json.dumps(value, sort_keys=True)


def sdk(service: str, action: str, arguments: Any, **more: Any) -> State:
    """A task that calls an AWS API, with retries."""
    return task(f"arn:aws:states:::aws-sdk:{service}:{action}", arguments, **more)


def task(resource: str, arguments: Any, **more: Any) -> State:
    """A task with a timeout and retries; `more` are further fields of the state."""
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
    """A task that stores its token in S3 and waits for the token's callback.

    `key` is an expression; `body` an object, because Step Functions writes a string in quotes. It is not retried: a
    callback with the old token must not complete the new attempt.
    """
    arguments = {"Bucket": bucket, "Key": jsonata(key), "Body": body, "ContentType": "application/json"}
    limits = {"HeartbeatSeconds": heartbeat, "TimeoutSeconds": timeout}
    return {"Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:s3:putObject{WAITING}", "Arguments": arguments} | (
        limits | more
    )


def catch(errors: Sequence[str], to: str, **assign: str) -> dict[str, Any]:
    """A Catch field's entry; `assign` are expressions over `$states.errorOutput`."""
    caught: dict[str, Any] = {"ErrorEquals": list(errors), "Next": to}
    return {**caught, "Assign": {name: jsonata(value) for name, value in assign.items()}} if assign else caught


def choice(*rules: tuple[str, str], default: str, comment: str = "") -> State:
    """A Choice state: the first condition that is true selects the next state."""
    choices = [{"Condition": jsonata(condition), "Next": to} for condition, to in rules]
    return {"Type": "Choice", **({"Comment": comment} if comment else {}), "Choices": choices, "Default": default}


def fail(error: str, cause: str, *, computed: bool = False) -> State:
    """A Fail state; `cause` is an expression, and so is `error` if `computed`.

    A computed error may have AWS's reserved prefix, which is not allowed here: `States.Timeout` becomes `Timeout`.
    https://states-language.net/#error-names
    """
    named = jsonata(f"$replace({error}, /^States[.]/, '')") if computed else error
    return {"Type": "Fail", "Error": named, "Cause": jsonata(cause)}


def assign(values: Mapping[str, Any], to: str, comment: str = "") -> State:
    """A Pass state that assigns variables: JSON that may contain expressions."""
    return {"Type": "Pass", **({"Comment": comment} if comment else {}), "Assign": dict(values), "Next": to}


def machine(comment: str, start: str, states: States, *, timeout: int) -> dict[str, Any]:
    """A state machine definition; executions time out after `timeout` seconds."""
    return {
        "Comment": comment,
        "QueryLanguage": "JSONata",
        "StartAt": start,
        "TimeoutSeconds": timeout,
        "States": states,
    }


def following(state: State) -> list[tuple[str, str]]:
    """All transitions of a state: next state and label; empty for an end state."""
    found = [(rule["Next"], rule["Condition"]) for rule in state.get("Choices", [])]
    found += [(rule["Next"], ", ".join(rule["ErrorEquals"])) for rule in state.get("Catch", [])]
    for field, label in (("Default", "otherwise"), ("Next", "")):
        if field in state:
            found.append((state[field], label))
    return found
