"""Interpreted executions, step by step: the input of every state of the definitions, and the expected result.

The time is fixed, so that the emulator can be compared with the interpreter.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from infra.pipeline import job_machine, study_machine, trigger_machine
from infra.pipeline.alarms import action_machine
from infra.pipeline.asl import following
from infra.pipeline.janitor import janitor_machine
from infra.pipeline.lifecycle import lifecycle_machine
from infra.pipeline.trigger_machine import TriggerFacts
from tests.infra.pipeline import (
    job_cloud,
    lifecycle_jobs,
    test_action_machine,
    test_janitor_machine,
    test_study_machine,
)
from tests.infra.pipeline.asl_interpreter import ENTERED, Answer, Refused, Step, run
from tests.infra.pipeline.job_cloud import INPUT, JOB, Cloud
from tests.infra.pipeline.lifecycle_jobs import DATASET, ENDS, GOOD, Jobs, certificate
from tests.infra.pipeline.test_action_machine import REPORT, ROLLBACK, START, WRITTEN, Services
from tests.infra.pipeline.test_janitor_machine import MONTH, Instances, Spending
from tests.infra.pipeline.test_trigger_machine import OTHER, Pipelines, event

NOW = 1_796_047_200_000
"""Time of each step, in milliseconds since 1970."""

_ENTERED = "$states.context.State.EnteredTime"
"""Replaced, because the emulator enters states at the present time, and expressions depend on the month."""

EXPIRES = "2026-12-31T00:00:00.000000Z"
"""After `NOW`."""

RESULT = f"jobs/{JOB}/result.json"
PIPELINE = "arn:aws:states:eu-west-1:000000000000:stateMachine:pipeline:live"
TRIALS = ("learning_rate=0.1", "learning_rate=0.01", "learning_rate=0.001")
SCORES = {f"{trial} epochs={epochs}": 0.5 for trial in TRIALS for epochs in (3, 9)}

type Scenario = tuple[Mapping[str, Any], Answer]
"""An execution's input, and a function that mocks its tasks."""


@functools.cache
def definitions() -> Mapping[str, dict[str, Any]]:
    """All state machines with all of their stages, at the moment `NOW`."""
    lifecycle = lifecycle_jobs.facts(
        search=TRIALS, search_epochs=9, rounds=("", "epochs=40"), reminder_hours=24, certification_days=2
    )
    found = {
        "job": job_machine.definition(job_cloud.facts(attempts=2, capacity_tries=2)),
        "study": study_machine.definition(test_study_machine.facts()),
        "pipeline": lifecycle_machine.definition(lifecycle),
        "start": trigger_machine.definition(TriggerFacts(pipeline=PIPELINE, lifecycle=lifecycle)),
        "janitor": janitor_machine.definition(test_janitor_machine.FACTS),
        "act": action_machine.definition(test_action_machine.FACTS),
    }
    text = json.dumps(found).replace("$millis()", str(NOW)).replace(_ENTERED, f"'{ENTERED}'")
    return json.loads(text)


def states(machine: str) -> dict[str, Mapping[str, Any]]:
    """The states of a state machine, those within its Map states included."""
    found: dict[str, Mapping[str, Any]] = {}
    left = [definitions()[machine]]
    while left:
        for name, state in left.pop()["States"].items():
            assert name not in found, "a case is named by its state"
            found[name] = state
            if "ItemProcessor" in state:
                left.append(state["ItemProcessor"])
    return found


def interpreted_steps(machine: str) -> Iterator[Step]:
    """Every step of every scenario."""
    name = JOB if machine == "job" else "an-execution"
    for input_, answer in _SCENARIOS[machine]():
        yield from run(definitions()[machine], input_, answer, name=name, machine=machine).steps


@functools.cache
def recorded(machine: str) -> Mapping[str, list[Step]]:
    """By state: one step for each transition, and for each error that causes it."""
    found: dict[str, dict[tuple[str, str], Step]] = {}
    for step in interpreted_steps(machine):
        refused = step.refused.error if step.refused else ""
        found.setdefault(step.state, {}).setdefault((step.next or step.error, refused), step)
    return {name: list(steps.values()) for name, steps in found.items()}


def arrows(machine: str) -> set[tuple[str, str]]:
    """Every transition."""
    return {(name, to) for name, state in states(machine).items() for to, _ in following(dict(state))}


def refusing(answer: Answer, state: str, error: str) -> Answer:
    """Answers as `answer` does, except that a state's first task is refused."""
    left = [error]

    def first(name: str, arguments: Mapping[str, Any]) -> Any:
        if name == state and left:
            raise Refused(left.pop(), "it said no")
        return answer(name, arguments)

    return first


def _refusals(machine: str, input_: Mapping[str, Any], answer: Callable[[], Answer]) -> Iterator[Scenario]:
    """For every error that a state catches by name, an execution in which it meets that."""
    for name, state in states(machine).items():
        for error in dict.fromkeys(error for each in state.get("Catch", []) for error in each["ErrorEquals"]):
            reported = "S3.S3Exception" if error in ("States.ALL", "States.TaskFailed") else error
            yield input_, refusing(answer(), name, reported)


def _job() -> Iterator[Scenario]:
    yield INPUT | {"job": ""}, Cloud()
    for worker in (
        *("Interrupted", "States.HeartbeatTimeout of Boot", "States.Timeout of Boot", "States.Timeout"),
        *("CodeFailed", None),
    ):
        yield INPUT, Cloud(worker, None)
    yield INPUT, Cloud("Interrupted", "Interrupted")
    yield INPUT | {"instances": 2}, Cloud(None, full=1)
    yield INPUT | {"on_demand": True}, Cloud(None)
    yield INPUT, Cloud(None, full=2)
    yield INPUT, Cloud(None, full=99)
    yield INPUT | {"usd": 0.1}, Cloud()
    yield INPUT, Cloud(stored={f"spending/2026-11/other.{each}/paid/100000000": {} for each in range(3)})
    for status in ("succeeded", "cancelled", "failed"):
        yield INPUT, Cloud(None, stored={RESULT: {"job": JOB, "status": status, "message": "because"}})
    yield INPUT, refusing(Cloud(None), "Boot", "CodeFailed")
    yield INPUT, refusing(Cloud(None), "Run", "CodeFailed")
    yield from _refusals("job", INPUT, lambda: Cloud(None, full=1))


def _pipeline() -> Iterator[Scenario]:
    def jobs(**plan: Any) -> Jobs:
        made = Jobs(**plan)
        made.scores = dict(SCORES)
        return made

    input_ = {"dataset": DATASET}
    yield {"dataset": ""}, jobs()
    yield {"dataset": OTHER}, jobs()
    yield input_, jobs()
    yield input_, jobs(silent=9)
    yield input_, jobs(silent=1, decision="refused")
    for stage, outcome in ENDS:
        yield input_, jobs(**{stage: outcome})
    yield input_, jobs(Train=["refused", "published"])
    for stage in GOOD:
        yield input_, jobs(**{stage: "!CodeFailed"})
    decisions = [certificate(decision=decision, expires_at=EXPIRES) for decision in ("certified", "refused", "revoked")]
    for stored in (*decisions, dict.fromkeys(certificate(), "not JSON")):
        decided = jobs()
        decided.signed = stored
        yield input_, decided
    lost = jobs()
    lost.scores = dict.fromkeys(SCORES)
    yield input_, lost
    yield from _refusals("pipeline", input_, jobs)


def _study() -> Iterator[Scenario]:
    plan = partial(test_study_machine.study, 3)
    trials = test_study_machine.Jobs
    yield {}, trials()
    yield plan(), trials()
    yield plan(rungs=[3, 9], publish=True), trials({1: 0.9, 2: None})
    yield plan(known={"1": {"score": 0.5, "value": 0.6}}), trials()
    yield plan(usd=0.1), trials()
    yield plan(usd=2 * test_study_machine.PRICE), trials(costs=dict.fromkeys((1, 2, 3), 1.0))
    yield plan(), trials(dict.fromkeys((1, 2, 3)))
    yield from _refusals("study", plan(publish=True), lambda: trials({2: None}))


def _start() -> Iterator[Scenario]:
    listing = {
        f"datasets/{letter * 64}.jsonl": f"2026-11-0{day}T10:00:00Z" for letter, day in zip("abc", "132", strict=True)
    }
    yield {"dataset": DATASET}, Pipelines()
    yield {"dataset": DATASET, "force": "retry-2", "requested_by": "arn:ana"}, Pipelines()
    yield {"dataset": "3fa9"}, Pipelines()
    yield {"dataset": DATASET, "epochs": 3}, Pipelines()
    yield event(f"datasets/{DATASET}.jsonl"), Pipelines()
    yield event("datasets/x.jsonl"), Pipelines()
    yield {"newest": True}, Pipelines(listing)
    yield {"newest": True}, Pipelines()
    yield from _refusals("start", {"dataset": DATASET}, Pipelines)


def _janitor() -> Iterator[Scenario]:
    def instances() -> Instances:
        made = Instances(a=(600, "RUNNING"), b=(-1, "RUNNING"), c=(600, "ABORTED"), d=(600, "GONE"), e=(600, "SILENT"))
        made.clock = lambda: NOW / 1000
        return made

    def spending() -> Spending:
        executions = {"a": ("RUNNING", 60), "b": ("ABORTED", 60), "c": ("ABORTED", None), "d": ("FAILED", 60)}
        made = Spending(executions, *(f"{MONTH}{name}.1/reserved/1000" for name in "abcde"))
        made.clock = lambda: NOW / 1000
        return made

    yield {}, instances()
    yield {}, Instances()
    yield from _refusals("janitor", {}, instances)
    yield {}, spending()
    yield from _refusals("janitor", {}, spending)


def _act() -> Iterator[Scenario]:
    drift = action_machine.drift_input("prod")
    yield {}, Services()
    yield ROLLBACK, Services()
    yield START, Services({"started": True, "execution": "arn"})
    yield START, Services({"started": False, "execution": "arn"})
    yield drift, Services({"outcome": "written", "message": "2 cameras"})
    yield REPORT, Services(WRITTEN)
    yield from _refusals("act", REPORT, lambda: Services(WRITTEN))
    failed = json.dumps({"Error": "SpendCap", "Cause": "the cap is 300 USD"})
    for input_ in (drift, ROLLBACK, START):
        yield input_, Services(error=Refused("States.TaskFailed", failed))
        yield input_, Services(error=Refused("States.TaskFailed", "not JSON"))
    for input_ in (ROLLBACK, START):
        yield from _refusals("act", input_, Services)


_SCENARIOS: Mapping[str, Callable[[], Iterator[Scenario]]] = {
    "job": _job,
    "pipeline": _pipeline,
    "study": _study,
    "start": _start,
    "janitor": _janitor,
    "act": _act,
}
