"""One attempt at a job: boot token, run token, heartbeats, the work, and the report of its outcome."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from botocore.exceptions import ClientError

from petpark.worker.endings import INTERRUPTED, UNUSABLE, Ending, Error, of_error
from petpark.worker.heartbeat import Heartbeat
from petpark.worker.order import Order, OrderMalformed, OrderMissing, load_order
from petpark.worker.tokens import Answer, Token, Tokens, persist, wait_for_token
from registry.layout.jobs import boot_token_key, run_token_key
from registry.store.object_store import ObjectStore

BOOT_TOKEN_SECONDS: Final = 600.0
"""Maximum wait for the boot token: an instance may boot before the state machine enters `Boot`."""

RUN_TOKEN_SECONDS: Final = 300.0
LOST_ANSWER_SECONDS: Final = 30.0
"""Maximum wait for the run token if the boot task had ended: a retry of a lost call gets that response."""

OUT_OF_BUDGET: Final = (
    "the job's budget is spent (petpark:pipeline.job_usd, execution_usd); raise it and start the job again: it "
    "continues from its last checkpoint"
)

type Stop = Callable[[], str | None]
"""Returns why the worker must stop; None to continue."""
type Work = Callable[[Order, Stop], Ending]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a job: its names, and the services that the worker uses."""

    job: str
    name: str
    instance: str
    workspace: ObjectStore
    tokens: Tokens
    heartbeat_seconds: float
    interruption: Stop
    """Returns why the instance is about to be interrupted; None if it is not."""
    report: Callable[[str, dict[str, object]], None]
    pause: Callable[[float], object] = field(default=time.sleep)
    clock: Callable[[], float] = field(default=time.monotonic)


def run_attempt(attempt: Attempt, work: Work) -> int:
    """Run the job and report its outcome to the state machine. Returns the process's exit status.

    A missing or malformed order is reported as a failure. If the state machine no longer waits, nothing is run.
    """
    boot = _token(attempt, boot_token_key(attempt.job, attempt.name), BOOT_TOKEN_SECONDS)
    if boot is None:
        return _abandon(attempt, "the state machine does not wait for this attempt to boot")
    if (reason := attempt.interruption()) is not None:
        return _report(attempt, boot.token, Ending(job=attempt.job, error=Error.INTERRUPTED, cause=reason))
    try:
        order = load_order(attempt.workspace, attempt.job)
    except (OrderMissing, OrderMalformed) as error:
        _report(attempt, boot.token, of_error(attempt.job, error))
        return UNUSABLE
    except Exception as error:  # noqa: BLE001 - the state machine must learn why
        return _report(attempt, boot.token, of_error(attempt.job, error))
    answer = _persist(attempt, lambda: attempt.tokens.succeed(boot.token, {"instance": attempt.instance}))
    seconds = RUN_TOKEN_SECONDS if answer is Answer.ACCEPTED else LOST_ANSWER_SECONDS
    run = _token(attempt, run_token_key(attempt.job, attempt.name), seconds)
    if run is None:
        return _abandon(attempt, "the state machine does not wait for this attempt to run")
    attempt.report("started", {"purpose": order.purpose, "attempt": attempt.name})
    with Heartbeat(lambda: attempt.tokens.heartbeat(run.token), limit_seconds=attempt.heartbeat_seconds) as heartbeat:
        return _report(attempt, run.token, _work(attempt, order, work, heartbeat, seconds=run.seconds))


def _work(attempt: Attempt, order: Order, work: Work, heartbeat: Heartbeat, *, seconds: int | None) -> Ending:
    """Run `work`; its `stop` also ends it when the job's budget is spent. Returns the outcome."""
    paid_until = attempt.clock() + seconds if seconds is not None and seconds < order.max_seconds else math.inf

    def stop() -> str | None:
        if (reason := attempt.interruption()) is not None:
            return reason
        if heartbeat.abandoned():
            return "the state machine no longer waits for this attempt"
        return OUT_OF_BUDGET if attempt.clock() >= paid_until else None

    try:
        ending = work(order, stop)
    except Exception as error:  # noqa: BLE001 - the state machine must learn why
        ending = of_error(attempt.job, error)
    if ending.error is Error.INTERRUPTED and stop() == OUT_OF_BUDGET:
        cause = f"after {seconds} s of this attempt {OUT_OF_BUDGET}"
        return Ending(job=attempt.job, error=Error.SPEND_CAP, cause=cause)
    return ending


def _report(attempt: Attempt, token: str, ending: Ending) -> int:
    """Report an outcome, with retries. Returns the exit status. If the report is lost, the next attempt repeats it."""
    error = ending.error
    attempt.report("ended", ending.output if error is None else {"error": error, "cause": ending.cause})
    if error is None:
        _persist(attempt, lambda: attempt.tokens.succeed(token, ending.output))
    else:
        _persist(attempt, lambda: attempt.tokens.fail(token, error, ending.cause or error))
    return ending.status


def _persist(attempt: Attempt, call: Callable[[], Answer]) -> Answer | None:
    """Like `persist`; None if the role lacks the permission, with the reason in the log only."""
    try:
        return persist(call, pause=attempt.pause, clock=attempt.clock)
    except ClientError as error:
        attempt.report("denied", {"why": f"{error}; pulumi up restores the instance's role"})
        return None


def _token(attempt: Attempt, key: str, seconds: float) -> Token | None:
    return wait_for_token(attempt.workspace, key, seconds=seconds, pause=attempt.pause, clock=attempt.clock)


def _abandon(attempt: Attempt, why: str) -> int:
    attempt.report("abandoned", {"why": attempt.interruption() or why})
    return INTERRUPTED
