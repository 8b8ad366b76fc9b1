"""The purposes of the machine `small`: which function does what, and its findings as the job's result."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from petpark.targets.target import Target
from petpark.worker import application_test, canary, channel_moves, dataset_checks, reports
from petpark.worker.endings import Ending, of_result
from petpark.worker.findings import Assignment, Findings
from petpark.worker.order import Order, Purpose
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
    }
)


def perform(
    order: Order,
    workspace: ObjectStore,
    *,
    stop: Callable[[], str | None],
    stack: str,
    targets: Callable[[str], Target] | None = None,
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Ending:
    """Do what the order says, and store the result before it is answered; raises what the purpose's function raises."""
    began = clock()
    assignment = Assignment(
        order=order,
        open_target=targets or (lambda name: open_target(workspace, name)),
        stack=stack,
        stop=stop,
        pause=pause,
        clock=clock,
        deadline=began + order.max_seconds,
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
        seconds=round(clock() - began, 2),
        outcome=found.outcome,
        report=found.report,
    )
    return of_result(store_result(workspace, result))
