"""A worker's life: boot token, run token, heartbeats, the work, the answer. What the work is, is given."""

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
"""For the state `Boot` to be entered: an instance may be faster than the states between its launch and that one."""

RUN_TOKEN_SECONDS: Final = 300.0
LOST_ANSWER_SECONDS: Final = 30.0
"""For a run token after a boot token that nobody waited for: that may have been our own answer, repeated."""

OUT_OF_MONEY: Final = (
    "the job's money is spent (petpark:pipeline.job_usd, execution_usd); raise it, start the job again, and it goes on "
    "from its last checkpoint"
)

type Stop = Callable[[], str | None]
"""Returns why the worker must stop; None: go on."""
type Work = Callable[[Order, Stop], Ending]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a job, as the instance knows it, and what the worker acts by."""

    job: str
    name: str
    instance: str
    workspace: ObjectStore
    tokens: Tokens
    heartbeat_seconds: float
    taken_away: Stop
    """Why this machine goes, if it does."""
    report: Callable[[str, dict[str, object]], None]
    pause: Callable[[float], object] = field(default=time.sleep)
    clock: Callable[[], float] = field(default=time.monotonic)


def live(attempt: Attempt, work: Work) -> int:
    """Do the job, and answer the state machine; gives the process's exit status.

    An order that cannot be read is answered at once. Where nobody waits any more, nothing is begun.
    """
    boot = _token(attempt, boot_token_key(attempt.job, attempt.name), BOOT_TOKEN_SECONDS)
    if boot is None:
        return _leave(attempt, "nobody waits for this attempt's boot")
    if (away := attempt.taken_away()) is not None:
        return _answer(attempt, boot.token, Ending(job=attempt.job, error=Error.INTERRUPTED, cause=away))
    try:
        order = load_order(attempt.workspace, attempt.job)
    except (OrderMissing, OrderMalformed) as error:
        _answer(attempt, boot.token, of_error(attempt.job, error))
        return UNUSABLE
    except Exception as error:  # noqa: BLE001 - the state machine must learn why
        return _answer(attempt, boot.token, of_error(attempt.job, error))
    answered = _persist(attempt, lambda: attempt.tokens.succeed(boot.token, {"instance": attempt.instance}))
    seconds = RUN_TOKEN_SECONDS if answered is Answer.TAKEN else LOST_ANSWER_SECONDS
    run = _token(attempt, run_token_key(attempt.job, attempt.name), seconds)
    if run is None:
        return _leave(attempt, "nobody waits for this attempt's end")
    attempt.report("works", {"purpose": order.purpose, "attempt": attempt.name})
    with Heartbeat(lambda: attempt.tokens.beat(run.token), limit_seconds=attempt.heartbeat_seconds) as heartbeat:
        return _answer(attempt, run.token, _work(attempt, order, work, heartbeat, seconds=run.seconds))


def _work(attempt: Attempt, order: Order, work: Work, heartbeat: Heartbeat, *, seconds: int | None) -> Ending:
    """Work until the end, or until there is a reason to stop, such as the job's budget."""
    paid_until = attempt.clock() + seconds if seconds is not None and seconds < order.max_seconds else math.inf

    def stop() -> str | None:
        if (away := attempt.taken_away()) is not None:
            return away
        if heartbeat.abandoned():
            return "the state machine no longer waits for this attempt"
        return OUT_OF_MONEY if attempt.clock() >= paid_until else None

    try:
        ending = work(order, stop)
    except Exception as error:  # noqa: BLE001 - the state machine must learn why
        ending = of_error(attempt.job, error)
    if ending.error is Error.INTERRUPTED and stop() == OUT_OF_MONEY:
        sentence = f"after {seconds} s of this attempt {OUT_OF_MONEY}"
        return Ending(job=attempt.job, error=Error.SPEND_CAP, cause=sentence)
    return ending


def _answer(attempt: Attempt, token: str, ending: Ending) -> int:
    """Answer with an ending, as long as that takes. An answer that is lost is made good by the next attempt."""
    error = ending.error
    attempt.report("ends", ending.output if error is None else {"error": error, "cause": ending.cause})
    if error is None:
        _persist(attempt, lambda: attempt.tokens.succeed(token, ending.output))
    else:
        _persist(attempt, lambda: attempt.tokens.fail(token, error, ending.cause or error))
    return ending.status


def _persist(attempt: Attempt, call: Callable[[], Answer]) -> Answer | None:
    """Like `persist`. If the role lacks the permission, only the log has the reason."""
    try:
        return persist(call, pause=attempt.pause, clock=attempt.clock)
    except ClientError as error:
        attempt.report("denied", {"why": f"{error}; pulumi up restores the instance's role"})
        return None


def _token(attempt: Attempt, key: str, seconds: float) -> Token | None:
    return wait_for_token(attempt.workspace, key, seconds=seconds, pause=attempt.pause, clock=attempt.clock)


def _leave(attempt: Attempt, why: str) -> int:
    attempt.report("leaves", {"why": attempt.taken_away() or why})
    return INTERRUPTED
