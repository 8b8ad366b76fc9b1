"""Studies executed by the emulator's Step Functions, EC2 and S3, as `petpark search` does it; workers are threads."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, override

import pytest
from botocore.exceptions import ClientError

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline import job_machine, study_machine
from infra.pipeline.job.facts import JobFacts, LaunchTemplate
from infra.pipeline.study_machine import StudyFacts
from petpark.errors import StudyCancelled
from petpark.jobs.executions import machines, running
from petpark.search import request, study_executions
from petpark.search.cancellation import cancel_study
from petpark.search.records import Records
from petpark.search.study_executions import StudyEnded, TrialChanged
from petpark.worker.order import Order
from petpark.worker.purposes.trainings import ensure_spec
from registry.layout.jobs import JOBS, attempts_of_job_prefix, job_order_key, job_result_key
from registry.layout.roles import Role
from registry.store.s3_store import S3Store
from rehearsal.emulator import Emulator
from tests.petpark.conftest import FakeTarget, Place
from tests.petpark.jobs.states import LIMITS
from tests.petpark.search.cloud import STUDY, finish
from tests.rehearsal.pipeline.test_whole_run import LOOK_SECONDS, alias_of, role_of, template_of, until
from training.job import JobResult, find_result, store_result
from training.search.budget import Budget

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(100)]

NAME = "study-run"
SETTINGS = PipelineSettings(boot_seconds=60, heartbeat_seconds=30)
PRICE = 0.1


@dataclass(frozen=True, kw_only=True)
class EmulatedTarget(FakeTarget):
    """A target whose stores are the emulator's buckets."""

    s3: Any

    @override
    def store(self, bucket: str, *, role: str | None = None) -> S3Store:
        return S3Store(self.s3, bucket)


@dataclass(eq=False)
class Workers(threading.Thread):
    """Answers the tokens of trials: `holds` are those that are not answered, `fails` those that fail."""

    client: Callable[[str], Any]
    target: EmulatedTarget
    holds: set[str] = field(default_factory=set[str])
    fails: set[str] = field(default_factory=set[str])
    ran: list[str] = field(default_factory=list[str])
    problem: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.answered = set(self.target.store(NAME).keys(JOBS))

    def run(self) -> None:
        store = self.target.store(NAME)
        try:
            while not self.stopping.wait(LOOK_SECONDS):
                for key in store.keys(JOBS):
                    if key.endswith(("/boot.json", "/run.json")) and key not in self.answered:
                        with suppress(ClientError):  # nobody waits for an attempt of an execution that was stopped
                            self._see(store, key)
        except BaseException as problem:
            self.problem = problem

    def wait(self, seconds: float) -> None:
        """Pause, unless nobody answers any more."""
        assert self.problem is None, self.problem
        self.stopping.wait(seconds)

    def _see(self, store: S3Store, key: str) -> None:
        job, token = key.split("/")[1], json.loads(store.get(key))["token"]
        if key.endswith("/run.json") and any(job.endswith(end) for end in self.holds):
            return
        self.answered.add(key)
        states = self.client("stepfunctions")
        if key.endswith("/boot.json"):
            states.send_task_success(taskToken=token, output=json.dumps({"instance": "i-1"}))
            return
        states.send_task_heartbeat(taskToken=token)  # a worker of an execution that was stopped ends here
        self.ran.append(job)
        ensure_spec(store, Order.from_json(store.get(job_order_key(job))), code=None)
        if any(job.endswith(end) for end in self.fails):
            store_result(store, JobResult(job=job, status="failed", error="LossNotFinite", message="diverged"))
            states.send_task_failure(taskToken=token, error="CodeFailed", cause="LossNotFinite: diverged")
            return
        finish(self.target, job)
        states.send_task_success(taskToken=token, output=json.dumps({"result": job_result_key(job)}))


@pytest.fixture(scope="module")
def target(emulator: Emulator) -> EmulatedTarget:
    client = emulator.client
    client("s3").create_bucket(Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": emulator.region})
    role, (template, subnets) = role_of(client, NAME), template_of(client, NAME)
    kinds = {
        name: LaunchTemplate(template=template, usd_per_hour={"t3.large": PRICE}, spot=False)
        for name in ("training", "small")
    }
    facts = JobFacts(workspace=NAME, subnets=subnets, machines=kinds, tags={"petpark:stack": NAME}, settings=SETTINGS)
    job = alias_of(client, f"{NAME}-job", job_machine.definition(facts), role)
    study = study_machine.definition(StudyFacts(job=job, workspace=NAME, usd_per_hour=PRICE, settings=SETTINGS))
    place = Place()
    limits = {**LIMITS, "around_seconds": 660.0, "usd_per_hour": {"t3.large": PRICE}}
    place.exported["test"] |= {
        "workspace": NAME,
        "pipeline": {
            **place.exported["test"]["pipeline"],
            "job": job,
            "study": alias_of(client, f"{NAME}-study", study, role),
            "limits": limits,
        },
    }
    made = place.target()
    found = EmulatedTarget(
        **{each.name: getattr(made, each.name) for each in fields(made) if each.init}, s3=client("s3")
    )
    for service in ("stepfunctions", "ec2"):
        found._clients[service, Role.PUBLISHER] = client(service)
    return found


@pytest.fixture
def workers(emulator: Emulator, target: EmulatedTarget) -> Iterator[Workers]:
    made = Workers(client=emulator.client, target=target)
    made.start()
    yield made
    made.stopping.set()
    made.join(30)
    assert made.problem is None


def live(emulator: Emulator) -> int:
    filters = [
        {"Name": "tag:petpark:stack", "Values": [NAME]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    found = emulator.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return sum(len(reservation["Instances"]) for reservation in found)


def test_a_study_runs_its_trials_one_fails_and_the_best_is_found_and_published(
    emulator: Emulator, target: EmulatedTarget, workers: Workers
) -> None:
    workers.fails = {"-000004"}
    name = request.create(target, replace(STUDY, parallel=3, budget=Budget(max_usd=2)))
    execution = study_executions.start(target, name, publish=True)
    assert study_executions.start(target, name) == execution, "it runs: nothing else is started"
    events = list(study_executions.follow(target, execution, poll=LOOK_SECONDS, pause=workers.wait))
    end = events[-1]
    assert isinstance(end, StudyEnded)
    assert (end.status, end.error, end.cause) == ("SUCCEEDED", "", "")
    said = [event.text for event in events if isinstance(event, TrialChanged)]
    assert "trial 4 failed: LossNotFinite" in said
    table = end.table
    assert (table.outcome, table.best) == ("all trials ended", 3)
    assert [str(row.state) for row in table.rows] == ["succeeded"] * 3 + ["failed"]
    assert {row.launches for row in table.rows} == {1}
    assert 0 < (table.usd or 0) < 0.1
    assert end.published is not None
    assert (end.published.job, end.published.version) == (f"{name}-best", 1)
    assert sorted(workers.ran) == [*(f"{name}-00000{n}" for n in range(1, 5)), f"{name}-best"]
    assert live(emulator) == 0


def test_a_study_that_was_stopped_goes_on_with_what_has_no_result_and_one_that_is_cancelled_does_not(
    emulator: Emulator, target: EmulatedTarget, workers: Workers
) -> None:
    workers.holds = {"-000002"}
    name = request.create(target, replace(STUDY, parallel=1))
    store, first = target.store(NAME), study_executions.start(target, name)
    waits = f"{attempts_of_job_prefix(f'{name}-000002')}"
    until(lambda: [key for key in store.keys(waits) if key.endswith("/run.json")])
    states = emulator.client("stepfunctions")
    states.stop_execution(executionArn=first.arn)
    for each in states.list_executions(stateMachineArn=machines(target).job.rpartition(":")[0])["executions"]:
        if each["status"] == "RUNNING":
            states.stop_execution(executionArn=each["executionArn"])
    until(lambda: states.describe_execution(executionArn=first.arn)["status"] == "ABORTED")
    until(lambda: not running(target, name))
    shown = Records(target, name).table()
    assert [str(row.state) for row in shown.rows] == ["succeeded", "interrupted", "waiting", "waiting"]

    workers.holds = {"-000003"}
    second = study_executions.start(target, name)
    assert second.name == f"{name}-r2"
    waits = f"{attempts_of_job_prefix(f'{name}-000003')}"
    until(lambda: [key for key in store.keys(waits) if key.endswith("/run.json")])
    assert workers.ran == [f"{name}-000001", f"{name}-000002"], "the first trial did not run again"

    ended = cancel_study(target, name, why="wrong dataset")
    assert ended.trials == (3,)
    assert len(ended.executions) == 2
    until(lambda: states.describe_execution(executionArn=second.arn)["status"] == "ABORTED")
    result = find_result(store, f"{name}-000003")
    assert result is not None
    assert (result.status, result.message) == ("cancelled", "wrong dataset")
    assert live(emulator) == 0
    with pytest.raises(StudyCancelled):
        study_executions.start(target, name)
    table = Records(target, name).table()
    assert (table.outcome, table.best) == ("cancelled by alice: wrong dataset", 2)
