"""A worker's life: boot token, run token, heartbeats, the work, the answer. What the work is, is given."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from petpark.worker.endings import INTERRUPTED, UNUSABLE, Ending, Error, of_error
from petpark.worker.heartbeat import Heartbeat
from petpark.worker.order import Order, OrderMalformed, OrderMissing, load_order
from petpark.worker.tokens import Answer, Tokens, persist, wait_for_token
from registry.layout import boot_token_key, run_token_key
from registry.store.object_store import ObjectStore

BOOT_TOKEN_SECONDS: Final = 600.0
"""For the state `Boot` to be entered: an instance may be faster than the states between its launch and that one."""

RUN_TOKEN_SECONDS: Final = 300.0
LOST_ANSWER_SECONDS: Final = 30.0
"""For a run token after a boot token that nobody waited for: that may have been our own answer, repeated."""

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
    say: Callable[[str, dict[str, object]], None]
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
        return _answer(attempt, boot, Ending(job=attempt.job, error=Error.INTERRUPTED, cause=away))
    try:
        order = load_order(attempt.workspace, attempt.job)
    except (OrderMissing, OrderMalformed) as error:
        _answer(attempt, boot, of_error(attempt.job, error))
        return UNUSABLE
    except Exception as error:  # noqa: BLE001 - the state machine must learn why
        return _answer(attempt, boot, of_error(attempt.job, error))
    answered = _persist(attempt, lambda: attempt.tokens.succeed(boot, {"instance": attempt.instance}))
    seconds = RUN_TOKEN_SECONDS if answered is Answer.TAKEN else LOST_ANSWER_SECONDS
    run = _token(attempt, run_token_key(attempt.job, attempt.name), seconds)
    if run is None:
        return _leave(attempt, "nobody waits for this attempt's end")
    attempt.say("works", {"purpose": order.purpose, "attempt": attempt.name})
    with Heartbeat(lambda: attempt.tokens.beat(run), limit_seconds=attempt.heartbeat_seconds) as heartbeat:
        return _answer(attempt, run, _work(attempt, order, work, heartbeat))


def _work(attempt: Attempt, order: Order, work: Work, heartbeat: Heartbeat) -> Ending:
    def stop() -> str | None:
        if (away := attempt.taken_away()) is not None:
            return away
        return "the state machine does not wait for this attempt any more" if heartbeat.abandoned() else None

    try:
        return work(order, stop)
    except Exception as error:  # noqa: BLE001 - the state machine must learn why
        return of_error(attempt.job, error)


def _answer(attempt: Attempt, token: str, ending: Ending) -> int:
    """Answer with an ending, as long as that takes. An answer that is lost is made good by the next attempt."""
    attempt.say("ends", {"error": ending.error, "cause": ending.cause})
    error = ending.error
    if error is None:
        _persist(attempt, lambda: attempt.tokens.succeed(token, ending.output))
    else:
        _persist(attempt, lambda: attempt.tokens.fail(token, error, ending.cause or error))
    return ending.status


def _persist(attempt: Attempt, call: Callable[[], Answer]) -> Answer | None:
    return persist(call, pause=attempt.pause, clock=attempt.clock)


def _token(attempt: Attempt, key: str, seconds: float) -> str | None:
    return wait_for_token(attempt.workspace, key, seconds=seconds, pause=attempt.pause, clock=attempt.clock)


def _leave(attempt: Attempt, why: str) -> int:
    attempt.say("leaves", {"why": attempt.taken_away() or why})
    return INTERRUPTED
