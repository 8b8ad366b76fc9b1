"""How a job's attempt ended, as the state machine `job` hears it. Pure decisions; `docs/design/pipeline.md`, Errors."""

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

_PASSING: Final = frozenset(
    {
        *("InternalError", "InternalFailure", "InternalServerError", "RequestTimeout", "RequestTimeoutException"),
        *("ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException"),
        *("500", "502", "503", "504"),
    }
)


class Error(StrEnum):
    """What a worker answers with."""

    INTERRUPTED = "Interrupted"
    CODE_FAILED = "CodeFailed"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"
    SPEND_CAP = "SpendCap"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """A job's end: its stored result (`error` None), or an error and a sentence about it."""

    job: str
    error: Error | None = None
    cause: str = ""

    @property
    def output(self) -> dict[str, object]:
        """Of a success: where the result is, for results do not travel through states."""
        return {"result": job_result_key(self.job)}

    @property
    def status(self) -> int:
        """The worker's exit status."""
        if self.error is None:
            return SUCCEEDED
        return INTERRUPTED if self.error is Error.INTERRUPTED else FAILED


def of_result(result: JobResult) -> Ending:
    """What a stored result means. A refusal is a job that succeeded."""
    if result.status == "succeeded":
        return Ending(job=result.job)
    text = f"{result.error or result.status}: {result.message or 'the job stored no message'}"
    if result.status == "cancelled":
        return Ending(job=result.job, error=Error.CANCELLED, cause=text)
    error = Error.TIMED_OUT if result.error == TookTooLong.__name__ else Error.CODE_FAILED
    return Ending(job=result.job, error=error, cause=text)


def of_training(job: str, status: int, result: JobResult | None, *, why: str | None, last_lines: str) -> Ending:
    """How a training's process ended: by its result if it stored one, else by its exit `status`.

    `why` says why it was asked to stop, if it was. Negative statuses, or those above 128, are signals: nobody knows
    whether the machine or the code is to blame, so another attempt is made, and their number is limited.
    """
    if result is not None:
        ending = of_result(result)
        return ending if ending.error is None else _with_log(ending, last_lines)
    if why is not None:
        return Ending(job=job, error=Error.INTERRUPTED, cause=why)
    if status in (FAILED, UNUSABLE):
        text = f"the training ended with status {status} and without a result"
        return _with_log(Ending(job=job, error=Error.CODE_FAILED, cause=text), last_lines)
    text = f"the training ended with status {status} before it was done"
    return _with_log(Ending(job=job, error=Error.INTERRUPTED, cause=text), last_lines)


def of_error(job: str, error: Exception) -> Ending:
    """What an exception leads to: another attempt where another machine, or a later time, can help."""
    text = f"{type(error).__name__}: {str(error).strip() or _origin(error)}"
    if isinstance(error, TookTooLong):
        return Ending(job=job, error=Error.TIMED_OUT, cause=text)
    return Ending(job=job, error=Error.INTERRUPTED if passes(error) else Error.CODE_FAILED, cause=text)


def _origin(error: Exception) -> str:
    """Describe an exception without a message by the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"raised in {frames[-1].filename}, line {frames[-1].lineno}" if frames else "without a message"


def passes(error: Exception) -> bool:
    """Whether an error says that this machine goes, or that a service does not answer now."""
    if lacks_credentials(error):
        return True
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code in _PASSING or status >= 500
    if isinstance(error, BotoCoreError):
        return isinstance(error, ConnectionError | HTTPClientError)
    if isinstance(error, KeyUnavailable):  # KeyError: something else answered in KMS's place
        cause = error.__cause__
        return isinstance(cause, KeyError) or (isinstance(cause, Exception) and passes(cause))
    return isinstance(error, Interrupted | StoreUnavailable)


def _with_log(ending: Ending, last_lines: str) -> Ending:
    if not last_lines:
        return ending
    return Ending(job=ending.job, error=ending.error, cause=f"{ending.cause}\nLast lines of the log:\n{last_lines}")
