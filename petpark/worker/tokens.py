"""Task tokens of Step Functions: how a worker tells a state machine that it lives, and how its work ended.

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
"""Of a failure's cause: with a few of them a state stays far below its 256 KiB."""

_NOT_WAITED_FOR: Final = frozenset({"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"})
_CLIENT: Final = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_ANSWER_SECONDS: Final = 600.0
"""How long the answer about a job's end is tried: as long as `job` waits beyond the job's own limit."""


class Answer(StrEnum):
    """What Step Functions said to a call with a token."""

    TAKEN = "taken"
    NOT_WAITED_FOR = "nobody waits"
    """The task timed out, was stopped, or was answered before."""


@dataclass(frozen=True, kw_only=True)
class Token:
    """Task token and limits that a state stored for this attempt."""

    token: str
    seconds: int | None = None
    """How long the attempt may work; None if unspecified."""


class TokenMalformed(Exception):
    """A token's object is not what the state machine writes."""


class Tokens:
    """Calls of Step Functions; each raises botocore's errors when it does not answer within 40 s."""

    def __init__(self, client: "SFNClient") -> None:
        self._client = client

    @classmethod
    def of_instance(cls) -> "Tokens":
        """With the credentials of the instance's role."""
        return cls(boto3.client("stepfunctions", config=_CLIENT))

    def succeed(self, token: str, output: Mapping[str, object]) -> Answer:
        """End the task well."""
        return _answer(lambda: self._client.send_task_success(taskToken=token, output=json.dumps(output)))

    def fail(self, token: str, error: str, cause: str) -> Answer:
        """End the task badly; of a longer cause the beginning and the end are sent."""
        return _answer(lambda: self._client.send_task_failure(taskToken=token, error=error, cause=shorten(cause)))

    def beat(self, token: str) -> Answer:
        """Send a heartbeat."""
        return _answer(lambda: self._client.send_task_heartbeat(taskToken=token))


def _answer(call: Callable[[], object]) -> Answer:
    try:
        call()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _NOT_WAITED_FOR:
            return Answer.NOT_WAITED_FOR
        raise
    return Answer.TAKEN


def shorten(cause: str) -> str:
    """At most `CAUSE_CHARACTERS`: the first quarter says what happened, the end has the last lines of the log."""
    if len(cause) <= CAUSE_CHARACTERS:
        return cause
    head = CAUSE_CHARACTERS // 4
    mark = " … "
    return cause[:head] + mark + cause[len(cause) - (CAUSE_CHARACTERS - head - len(mark)) :]


def persist(
    call: Callable[[], Answer], *, pause: Callable[[float], object], clock: Callable[[], float]
) -> Answer | None:
    """Retry a call without a response for ten minutes; then return None. Raises a denial immediately.

    A repeated call whose first answer was lost gets NOT_WAITED_FOR: the task was answered.
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
    """Returns the token at `key` as soon as it is there; None after `seconds`.

    A store that does not answer is asked again, too. Raises TokenMalformed, and registry errors that will not pass.
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
        given = json_object(json.loads(data, parse_float=whole_or_float))
        fields = Fields(given)
        token = Token(token=fields.text("token"), seconds=fields.count("seconds") if "seconds" in given else None)
        fields.done()
    except ValueError as error:
        raise TokenMalformed(f"this is no token of a task: {error}") from error
    return token
