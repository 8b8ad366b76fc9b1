"""Outcome of a job's attempt as reported to the state machine `job`. Pure; `docs/design/pipeline.md`, Errors."""

import traceback
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from registry.errors import KeyUnavailable, StoreUnavailable
from registry.layout.jobs import job_result_key
from registry.store.s3_outcomes import lacks_credentials
from training.errors import Interrupted, TookTooLong
from training.job import JobResult

SUCCEEDED, FAILED, UNUSABLE, INTERRUPTED, UNREACHABLE = range(5)
"""Exit statuses of `python -m training`, and of the worker itself."""

_TRANSIENT: Final = frozenset(
    {
        *("InternalError", "InternalFailure", "InternalServerError", "RequestTimeout", "RequestTimeoutException"),
        *("ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException"),
        *("500", "502", "503", "504"),
    }
)


class Error(StrEnum):
    """Error names of a failed task."""

    INTERRUPTED = "Interrupted"
    CODE_FAILED = "CodeFailed"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"
    SPEND_CAP = "SpendCap"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Outcome of an attempt: success with a stored result (`error` is None), or an error with its cause."""

    job: str
    error: Error | None = None
    cause: str = ""

    @property
    def output(self) -> dict[str, object]:
        """Output of a successful task: the key of the result, which is too large for a state."""
        return {"result": job_result_key(self.job)}

    @property
    def status(self) -> int:
        """The worker's exit status."""
        if self.error is None:
            return SUCCEEDED
        return INTERRUPTED if self.error is Error.INTERRUPTED else FAILED


def of_result(result: JobResult) -> Ending:
    """Returns the outcome for a stored result. A refusal is a successful job."""
    if result.status == "succeeded":
        return Ending(job=result.job)
    text = f"{result.error or result.status}: {result.message or 'the job stored no message'}"
    if result.status == "cancelled":
        return Ending(job=result.job, error=Error.CANCELLED, cause=text)
    error = Error.TIMED_OUT if result.error == TookTooLong.__name__ else Error.CODE_FAILED
    return Ending(job=result.job, error=error, cause=text)


def of_training(job: str, status: int, result: JobResult | None, *, why: str | None, last_lines: str) -> Ending:
    """Returns the outcome of a training process: from its result if it stored one, else from its exit `status`.

    `why` is the reason for which it was stopped, if it was. Statuses below 0 and above 128 are signals, whose cause may
    be the instance or the code: the training is attempted again, up to a limit.
    """
    if result is not None:
        ending = of_result(result)
        return ending if ending.error is None else _with_log(ending, last_lines)
    if why is not None:
        return Ending(job=job, error=Error.INTERRUPTED, cause=why)
    if status in (FAILED, UNUSABLE):
        text = f"the training exited with status {status} without storing a result"
        return _with_log(Ending(job=job, error=Error.CODE_FAILED, cause=text), last_lines)
    text = f"the training exited with status {status} before it was complete"
    return _with_log(Ending(job=job, error=Error.INTERRUPTED, cause=text), last_lines)


def of_error(job: str, error: Exception) -> Ending:
    """Returns the outcome for an exception: interrupted, and so retried, if the error is transient."""
    text = f"{type(error).__name__}: {str(error).strip() or _origin(error)}"
    if isinstance(error, TookTooLong):
        return Ending(job=job, error=Error.TIMED_OUT, cause=text)
    return Ending(job=job, error=Error.INTERRUPTED if is_transient(error) else Error.CODE_FAILED, cause=text)


def _origin(error: Exception) -> str:
    """Returns where an exception without a message was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"raised in {frames[-1].filename}, line {frames[-1].lineno}" if frames else "without a message"


def is_transient(error: Exception) -> bool:
    """Whether the instance is interrupted or a service is unavailable, so that another attempt may succeed."""
    if lacks_credentials(error):
        return True
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code in _TRANSIENT or status >= 500
    if isinstance(error, BotoCoreError):
        return isinstance(error, ConnectionError | HTTPClientError)
    if isinstance(error, KeyUnavailable):  # KeyError: the response is not from KMS
        cause = error.__cause__
        return isinstance(cause, KeyError) or (isinstance(cause, Exception) and is_transient(cause))
    return isinstance(error, Interrupted | StoreUnavailable)


def _with_log(ending: Ending, last_lines: str) -> Ending:
    if not last_lines:
        return ending
    return Ending(job=ending.job, error=ending.error, cause=f"{ending.cause}\nLast lines of the log:\n{last_lines}")
