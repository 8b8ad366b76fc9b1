"""The purposes on the machine `small`: the function of each, and its findings as the job's result."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from petpark.targets.target import Target
from petpark.worker.endings import Ending, of_result
from petpark.worker.order import Order, Purpose
from petpark.worker.purposes import (
    application_test,
    canary,
    channel_moves,
    dataset_checks,
    drift_checks,
    reports,
    rollbacks,
)
from petpark.worker.purposes.findings import Assignment, Findings
from petpark.worker.stack_target import open_target
from registry.store.object_store import ObjectStore
from training.job import JobResult, store_result

FUNCTIONS: Final[Mapping[Purpose, Callable[[Assignment], Findings]]] = MappingProxyType(
    {
        Purpose.DATASET: dataset_checks.check,
        Purpose.MOVE: channel_moves.move,
        Purpose.READ_BACK: channel_moves.read_back,
        Purpose.APPLICATION_TEST: application_test.test,
        Purpose.CANARY: canary.run,
        Purpose.REPORT: reports.write,
        Purpose.DRIFT: drift_checks.check,
        Purpose.ROLLBACK: rollbacks.roll_back,
    }
)


def perform(
    order: Order,
    workspace: ObjectStore,
    *,
    stop: Callable[[], str | None],
    stack: str,
    report: Callable[[str, Mapping[str, object]], object] = lambda _event, _facts: None,
    targets: Callable[[str], Target] | None = None,
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Ending:
    """Run an order and store its result. Returns the outcome to report. Raises what the purpose's function raises."""
    start = clock()
    assignment = Assignment(
        order=order,
        open_target=targets or (lambda name: open_target(workspace, name)),
        stack=stack,
        workspace=workspace,
        report=report,
        stop=stop,
        pause=pause,
        clock=clock,
        deadline=start + order.max_seconds,
    )
    assignment.check()
    found = FUNCTIONS[order.purpose](assignment)
    result = JobResult(
        job=order.job,
        status="succeeded",
        version=found.version,
        digest=found.digest,
        metrics=found.metrics,
        message=found.message,
        seconds=round(clock() - start, 2),
        outcome=found.outcome,
        report=found.report,
    )
    return of_result(store_result(workspace, result))
