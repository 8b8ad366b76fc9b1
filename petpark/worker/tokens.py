"""Task tokens of Step Functions: send heartbeats and the outcome of the work to a state machine.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from petpark.failures.failure import DENIED
from petpark.worker.order import json_object, whole_or_float
from registry.encoding import Fields
from registry.errors import ObjectMissing, StoreUnavailable
from registry.store.object_store import ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

CAUSE_CHARACTERS: Final = 2000
"""Maximum length of a failure's cause: a few of them stay far below a state's limit of 256 KiB."""

_TASK_ENDED: Final = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})
_CLIENT: Final = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_ANSWER_SECONDS: Final = 600.0
"""How long a report is retried: as long as the state machine `job` waits beyond the job's time limit."""


class Answer(StrEnum):
    """Step Functions' response to a call with a task token."""

    ACCEPTED = "accepted"
    TASK_ENDED = "task ended"
    """The task has timed out, was stopped, or has already been completed."""


@dataclass(frozen=True, kw_only=True)
class Token:
    """Task token and time limit that a state stored for this attempt."""

    token: str
    seconds: int | None = None
    """How long the attempt may run within the job's budget; None if unspecified."""


class TokenMalformed(Exception):
    """The stored object of a task token is invalid."""


class Tokens:
    """Calls of Step Functions; each raises botocore's errors if it gets no response within 40 s."""

    def __init__(self, client: "SFNClient") -> None:
        self._client = client

    @classmethod
    def of_instance(cls) -> "Tokens":
        """Returns a client with the credentials of the instance's role."""
        return cls(boto3.client("stepfunctions", config=_CLIENT))

    def succeed(self, token: str, output: Mapping[str, object]) -> Answer:
        """Complete the task with an output."""
        return _answer(lambda: self._client.send_task_success(taskToken=token, output=json.dumps(output)))

    def fail(self, token: str, error: str, cause: str) -> Answer:
        """Fail the task; a long cause is shortened."""
        return _answer(lambda: self._client.send_task_failure(taskToken=token, error=error, cause=shorten(cause)))

    def heartbeat(self, token: str) -> Answer:
        """Send a heartbeat."""
        return _answer(lambda: self._client.send_task_heartbeat(taskToken=token))


def _answer(call: Callable[[], object]) -> Answer:
    try:
        call()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _TASK_ENDED:
            return Answer.TASK_ENDED
        raise
    return Answer.ACCEPTED


def shorten(cause: str) -> str:
    """Returns at most `CAUSE_CHARACTERS` of a cause: its start with the error, and its end with log lines."""
    if len(cause) <= CAUSE_CHARACTERS:
        return cause
    head = CAUSE_CHARACTERS // 4
    mark = " … "
    return cause[:head] + mark + cause[len(cause) - (CAUSE_CHARACTERS - head - len(mark)) :]


def persist(
    call: Callable[[], Answer], *, pause: Callable[[float], object], clock: Callable[[], float]
) -> Answer | None:
    """Returns the response of a call, which is retried for ten minutes; None after that.

    Raises an access denial immediately. A retry after a lost response gets TASK_ENDED, since the task was completed.
    """
    deadline, pauses = clock() + _ANSWER_SECONDS, iter(_PAUSES)
    while True:
        try:
            return call()
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in DENIED:
                raise
            if clock() >= deadline:
                return None
            pause(next(pauses, _PAUSES[-1]))


def wait_for_token(
    workspace: ObjectStore,
    key: str,
    *,
    seconds: float,
    pause: Callable[[float], object],
    clock: Callable[[], float],
) -> Token | None:
    """Returns the token at `key` as soon as it exists; None after `seconds`.

    Retries while the store is unavailable. Raises TokenMalformed, the registry's StoreUnavailable if it still is after
    `seconds`, and other registry errors.
    """
    deadline, wait = clock() + seconds, 0.2
    while True:
        try:
            return _read(workspace.get(key))
        except (ObjectMissing, StoreUnavailable) as error:
            if clock() >= deadline:
                if isinstance(error, StoreUnavailable):
                    raise
                return None
        pause(wait)
        wait = min(2.0, wait * 1.5)


def _read(data: bytes) -> Token:
    try:
        stored = json_object(json.loads(data, parse_float=whole_or_float))
        fields = Fields(stored)
        token = Token(token=fields.text("token"), seconds=fields.count("seconds") if "seconds" in stored else None)
        fields.done()
    except ValueError as error:
        raise TokenMalformed(f"malformed task token: {error}") from error
    return token
