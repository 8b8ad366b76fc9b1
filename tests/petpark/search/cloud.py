"""A cloud in memory whose Step Functions run the real definition of a study; the test sets the results of trials."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.pipeline import study_machine
from petpark.search.request import create
from petpark.worker.order import Order, Purpose
from petpark.worker.purposes.trainings import ensure_spec
from registry.clock import utc_now
from registry.layout.jobs import job_launch_key, job_order_key, job_result_key, validation_key
from registry.layout.workspace import spending_prefix, trial_job
from registry.store.memory_store import MemoryStore
from tests.infra.pipeline import test_study_machine
from tests.infra.pipeline.asl_interpreter import Ended, Refused, run
from tests.petpark.conftest import ACCOUNT, FakeTarget, Place
from tests.petpark.jobs.states import OUTPUTS, StepFunctions, opener
from training.hyper_parameters import HyperParameters
from training.job import JobResult, JobSpec, load_spec, store_result, written
from training.search.budget import Budget
from training.search.choice import Answers
from training.search.space import Space
from training.search.study import Study

ALICE = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/alice"
RATES = ("0.001", "0.002", "0.003", "0.004")
STUDY = Study(
    spec=JobSpec(
        dataset="d" * 64,
        seed=3,
        requested_by=ALICE,
        hyper_parameters=HyperParameters(epochs=9),
        max_seconds=3000,
    ),
    space=Space(grid=(f"learning_rate={','.join(RATES)}",)),
    trials=4,
    metric="balanced_accuracy",
    rungs=1,
    parallel=2,
    budget=Budget(),
    created_at="2026-08-02T10:15:00.000000Z",
)


@dataclass
class Cloud:
    """Executions of studies are played at once, unless `waits`; `fate` gives a trial's error, "" for a success."""

    place: Place
    fate: Callable[[str], str] = lambda _job: ""
    waits: bool = False
    work: Callable[[FakeTarget, str], None] | None = None
    """Does a job's work in place of `finish`."""
    states: StepFunctions = field(default_factory=StepFunctions)
    jobs: list[str] = field(default_factory=list[str])
    """Ids of the jobs that ran, in order."""
    usd: float = 0.25
    """What a job costs."""

    def __post_init__(self) -> None:
        self.store = self.place.buckets.setdefault("workspace", MemoryStore())
        self.open = opener(self.place, self.states)
        self.states.on_start = self.on_start

    @property
    def target(self) -> FakeTarget:
        return self.open()

    def begin(self, study: Study = STUDY) -> str:
        """Store a study; its id."""
        return create(self.target, study)

    def on_start(self, execution: dict[str, Any]) -> None:
        if ":petpark-study:" in execution["executionArn"] and not self.waits:
            self.play(execution)

    def end(self, arn: str) -> None:
        """Play an execution that waits."""
        self.play(self.states.executions[arn])

    def play(self, execution: dict[str, Any]) -> Ended:
        """Execute a study to its end."""
        name, given = execution["executionArn"].rpartition(":")[2], json.loads(execution["input"])
        facts = test_study_machine.facts(boot_seconds=1200, job_usd=20, execution_usd=50)
        end = run(study_machine.definition(facts), given, self, name=name, machine="petpark-study")
        execution |= {"status": end.status, "error": end.error, "cause": end.cause}
        if end.status == "SUCCEEDED":
            execution["output"] = json.dumps(end.output)
        return end

    def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
        if state == "Books":
            return {"KeyCount": 0}
        given, name = arguments["Input"], arguments["Name"]
        job, attempt = given["job"], f"{name}.1"
        self.jobs.append(job)
        arn = f"{OUTPUTS['job'].removesuffix(':live').replace('stateMachine', 'execution')}:{name}"
        self.states.executions[arn] = {"executionArn": arn, "status": "SUCCEEDED"}
        self.begin_job(given)
        launch = {"instances": ["i-1"], "type": "g5.xlarge"}
        self.store.create(job_launch_key(job, attempt), json.dumps(launch).encode())
        self.store.create(f"{spending_prefix(f'{utc_now():%Y-%m}')}{attempt}/paid/{int(self.usd * 1e6)}", b"{}")
        error = self.fate(job)
        if error in ("NoCapacity", "TooManyAttempts"):  # no worker wrote a result
            self.states.executions[arn] |= {"status": "FAILED", "error": error, "cause": "none left"}
            raise Refused("States.TaskFailed", json.dumps({"Error": error, "Cause": "none left"}))
        if error:
            store_result(self.store, JobResult(job=job, status="failed", error=error, message="because"))
            raise Refused("States.TaskFailed", json.dumps({"Error": "CodeFailed", "Cause": error}))
        (self.work or finish)(self.target, job)
        result = JobResult.from_json(self.store.get(job_result_key(job)))
        return {"Output": {"usd": self.usd, "metrics": dict(result.metrics), "version": result.version}}

    def begin_job(self, given: Mapping[str, Any]) -> None:
        """Write the order as the state machine `job` does, and the spec as the worker does."""
        order = {name: given[name] for name in ("job", "purpose", "requested_by", "pipeline", "max_seconds", "inputs")}
        key = job_order_key(given["job"])
        if self.store.stat(key) is None:
            self.store.create(key, json.dumps({"schema": "petpark.order/1", **order}).encode())
        ensure_spec(self.store, Order.from_json(self.store.get(key)), code=None)


def finish(target: FakeTarget, job: str) -> None:
    """Write a job's results: better for a higher rate and more epochs."""
    store = target.store(target.outputs.workspace)
    spec = load_spec(store, job)
    if spec.study is None:
        store_result(store, JobResult(job=job, status="succeeded", version=1, outcome="published"))
        return
    wrong = max(0, 12 - round(spec.hyper_parameters.learning_rate * 2000) - spec.hyper_parameters.epochs // 3)
    truth = tuple(number % 2 for number in range(60))
    answers = Answers(
        labels=("cat", "dog"),
        truth=truth,
        answered=tuple(1 - label if place < wrong else label for place, label in enumerate(truth)),
    )
    store.create(validation_key(job), written(answers))
    store_result(store, JobResult(job=job, status="succeeded", outcome="measured", metrics=answers.metrics()))


def waiting(given: Mapping[str, Any], trial: int) -> Mapping[str, Any]:
    """The input of the job of a trial."""
    job = trial_job(given["study"], trial)
    settings = given["trials"][trial - 1]["settings"]
    inputs = {"study": given["study"], "trial": trial, "settings": settings}
    return {
        "job": job,
        "purpose": Purpose.TRIAL,
        "requested_by": given["requested_by"],
        "pipeline": None,
        "max_seconds": given["max_seconds"],
        "inputs": inputs,
    }
