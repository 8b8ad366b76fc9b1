"""The state machine `job`: runs one job to its result, over any number of interrupted instances. Pure.

`docs/design/pipeline.md` is the contract with the worker.
"""

from typing import Any, Final

from infra.pipeline.asl import machine
from infra.pipeline.job.attempt import end, work
from infra.pipeline.job.facts import JobFacts
from infra.pipeline.job.launch import launch
from infra.pipeline.job.money import check_budget, record_cost
from infra.pipeline.job.order import begin
from infra.pipeline.job.result import finish

MOST_SECONDS: Final = 350 * 86_400
"""Timeout of an execution; Step Functions allows at most a year."""


def definition(facts: JobFacts) -> dict[str, Any]:
    """The state machine, as Amazon States Language."""
    states = {
        **begin(facts),
        **check_budget(facts),
        **launch(facts),
        **work(facts),
        **end(),
        **record_cost(facts),
        **finish(facts),
    }
    return machine(
        "One job: launch, boot, run and terminate, repeated after an interruption",
        "Check",
        states,
        timeout=MOST_SECONDS,
    )
