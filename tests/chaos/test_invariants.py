"""Each invariant of a run's end can fail: a good end violates none, and each change to it is detected."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from registry.certificates.certificate import Certificates, Decision
from registry.channels.channel import Channel
from registry.encoding import canonical, format_time
from registry.layout.jobs import boot_token_key, job_launch_key, job_result_key
from registry.layout.model_store import version_key
from registry.layout.workspace import certification_key, spending_prefix
from registry.store.memory_store import MemoryStore
from registry.version import StoredFile, Version
from registry.versions.catalog import Catalog
from rehearsal.instances import StateNotReached
from tests.chaos.invariants import look
from tests.chaos.plan import EPOCHS, Fault, Injection, Kind, Plan
from tests.chaos.site import MODEL
from tests.registry.memory_keys import MemorySigner

START = datetime(2026, 1, 1, tzinfo=UTC)
JOB, EXECUTION = "train-1", "pets-1"
FIRST, SECOND = f"{JOB}-1", f"{JOB}-2"
OVER = ClientError({"Error": {"Code": "TaskTimedOut", "Message": ""}}, "SendTaskSuccess")
SIGNER = MemorySigner()
MONTH = spending_prefix("2026-01")


@dataclass
class Scene:
    """What `look` sees of a pipeline that ended well; AWS's responses are those that its clients would return."""

    kind: Kind = Kind.PIPELINE
    injections: tuple[Injection, ...] = ()
    ended: dict[str, Any] = field(default_factory=lambda: {"status": "SUCCEEDED"})
    janitor: dict[str, Any] = field(default_factory=lambda: {"status": "SUCCEEDED", "output": '{"terminated": []}'})
    machine: str = "terminated"
    alive: bool = False
    answered: list[str] = field(default_factory=list[str])
    """Tokens that can be answered still."""
    executions: dict[str, list[tuple[str, str]]] = field(
        default_factory=lambda: {
            "job": [(JOB, "SUCCEEDED")],
            "pipeline": [(EXECUTION, "SUCCEEDED")],
            "start": [("event-1", "SUCCEEDED")],
        }
    )
    trained: dict[str, list[int]] = field(default_factory=lambda: {"i-1": [1, 2], "i-2": [*range(2, EPOCHS + 1)]})
    found: dict[str, int] = field(default_factory=lambda: {"i-1": 0, "i-2": 1})
    cancelled: bool = False

    def __post_init__(self) -> None:
        self.now = START
        self.work, self.registry = MemoryStore(clock=self.clock), MemoryStore(clock=self.clock)
        for attempt in (FIRST, SECOND):
            self.put(job_launch_key(JOB, attempt), b"{}")
            self.put(f"{MONTH}{attempt}/paid/100", b"")
            self.put(boot_token_key(JOB, attempt), canonical({"token": f"boot of {attempt}"}))
        self.put(job_result_key(JOB), b"{}")
        self.put(certification_key(EXECUTION), canonical({"token": "certification"}))

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def put(self, key: str, body: bytes) -> None:
        self.work.create(key, body)

    # What a run's `Site` has.

    name, workspace, models, aliases = (
        "site",
        "workspace",
        "models",
        {each: f"{each}:live" for each in ("job", "pipeline", "start")},
    )

    @property
    def account(self) -> Any:
        return SimpleNamespace(runner=SimpleNamespace(wait_for=self._wait_for))

    def store(self, bucket: str) -> MemoryStore:
        return self.work if bucket == self.workspace else self.registry

    def catalog(self) -> Catalog:
        return Catalog(self.registry, MODEL, clock=self.clock)

    def channel(self, name: str) -> Channel:
        return Channel(self.registry, MODEL, name, clock=self.clock)

    def client(self, service: str) -> Any:
        return {"stepfunctions": self, "ec2": self, "s3": self}[service]

    # What clients of AWS answer.

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        return self.janitor if executionArn.startswith("janitor") else self.ended

    def get_paginator(self, _operation: str) -> Any:
        machine = {"InstanceId": "i-1", "State": {"Name": self.machine}, "Tags": []}
        return SimpleNamespace(paginate=lambda **_: [{"Reservations": [{"Instances": [machine]}]}])

    def list_object_versions(self, *, Bucket: str, Prefix: str) -> dict[str, Any]:
        revisions = [*self.store(Bucket).revisions(Prefix)]
        return {
            "Versions": [each for each in revisions if not each.deleted],
            "DeleteMarkers": [each for each in revisions if each.deleted],
        }

    def send_task_success(self, *, taskToken: str, output: str) -> None:
        if taskToken not in self.answered:
            raise OVER

    def list_executions(self, *, stateMachineArn: str) -> dict[str, Any]:
        return {"executions": [{"name": name, "status": status} for name, status in self.executions[stateMachineArn]]}

    def _wait_for(self, instance: str, _state: str, _seconds: float) -> None:
        if self.alive:
            raise StateNotReached(f"{instance} is running. More")

    # What happened.

    def publish(self, run: str = JOB) -> Version:
        """As a training does, of no files that matter here."""
        catalog = self.catalog()
        number = catalog.next_number()
        version = Version(
            model=MODEL,
            number=number,
            created_at=format_time(self.clock()),
            files=(StoredFile(name="model.onnx", sha256="a" * 64, bytes=1),),
            labels=("cat", "dog"),
            metrics={},
            lineage={"run": run},
        )
        self.registry.create(version_key(MODEL, number), version.to_bytes())
        return version

    def decide(self, decision: Decision) -> None:
        Certificates(self.registry, MODEL, clock=self.clock).sign(
            self.catalog().version(1),
            decision=decision,
            signer=SIGNER,
            by="vera",
            report_sha256=None,
            expires_at=None if decision == "refused" else START + timedelta(days=9),
            note="chaos",
        )

    def move(self, channel: str) -> None:
        self.channel(channel).move(self.catalog().version(1), by="mia", why="")

    def problems(self) -> tuple[str, ...]:
        plan = Plan(seed=0, number=1, kind=self.kind, injections=self.injections)
        injector: Any = SimpleNamespace(
            trained=self.trained,
            found=self.found,
            janitors=["janitor-1"],
            look=lambda: "janitor-2",
            pause=threading.Event(),
            cancelled=self.cancelled,
        )
        site: Any = self
        return look(site, plan, injector, ["pipeline-1"]).problems


def sound(**changes: Any) -> Scene:
    """A version that was trained in two attempts, tested, certified and released."""
    scene = Scene(**changes)
    scene.publish()
    scene.move("test")
    scene.decide("certified")
    scene.move("prod")
    return scene


def test_no_violation_is_found_after_a_good_run() -> None:
    assert sound().problems() == ()


DECISIONS = Injection(fault=Fault.TWO_DECISIONS, how="refused+refused")
VIOLATIONS: dict[str, tuple[Callable[[], Scene], str]] = {
    "the pipeline failed": (
        lambda: sound(ended={"status": "FAILED", "error": "Boot"}),
        "ended as Boot, not as SUCCEEDED",
    ),
    "the pipeline went on after it was cancelled": (lambda: sound(cancelled=True), "ended as SUCCEEDED, not as"),
    "the pipeline went on after two refusals": (lambda: sound(injections=(DECISIONS,)), "ended as SUCCEEDED, not as"),
    "an instance runs": (lambda: sound(machine="running"), "instance i-1 is running"),
    "an instance is stopped": (lambda: sound(machine="stopped"), "instance i-1 is stopped"),
    "a process is left": (lambda: sound(alive=True), "processes are left: i-1 is running"),
    "the janitor fails": (lambda: sound(janitor={"status": "FAILED"}), "the janitor failed"),
    "the janitor has work": (
        lambda: sound(janitor={"status": "SUCCEEDED", "output": '{"terminated": ["i-1"]}'}),
        "the janitor had to end",
    ),
    "a job published twice": (lambda: _with(lambda scene: scene.publish()), "job train-1 published 2 versions"),
    "two jobs published": (lambda: _with(lambda scene: scene.publish("train-2")), "2 versions"),
    "nothing was published": (lambda: Scene(), "0 versions"),
    "a channel was moved twice": (lambda: _with(lambda scene: scene.move("test")), "test was moved 2 times"),
    "a channel was not moved": (lambda: _until(lambda scene: scene.decide("certified")), "prod was not moved"),
    "prod was moved by a pipeline that failed": (
        lambda: sound(ended={"status": "FAILED", "error": "MoveRefused"}),
        "prod was moved, and the pipeline ended as",
    ),
    "nobody decided": (lambda: _until(lambda scene: scene.move("prod")), "there is no decision"),
    "the decision came after the move": (
        lambda: _until(lambda scene: scene.move("prod"), lambda scene: scene.decide("certified")),
        "decided before that",
    ),
    "the decision was against it": (
        lambda: _until(lambda scene: scene.decide("refused"), lambda scene: scene.move("prod")),
        "decided before that",
    ),
    "the certificate was withdrawn before the move": (
        lambda: _until(
            lambda scene: scene.decide("certified"),
            lambda scene: scene.decide("refused"),
            lambda scene: scene.move("prod"),
        ),
        "decided before that",
    ),
    "a job has no result": (
        lambda: _with(lambda scene: scene.put("jobs/train-2/plan.json", b"")),
        "job train-2 has 0 results",
    ),
    "a result was replaced": (lambda: _with(_replace_result), "job train-1 has 3 results"),
    "an epoch is missing": (lambda: sound(trained={"i-1": [1, 3]}, found={"i-1": 0}), "epochs are missing"),
    "an attempt trained too far": (
        lambda: sound(trained={"i-1": [*range(1, EPOCHS + 2)]}, found={"i-1": 0}),
        "epochs are missing",
    ),
    "an attempt began anew": (lambda: sound(found={"i-1": 0, "i-2": 2}), "i-2 did not go on from checkpoint 2"),
    "money stays reserved": (
        lambda: _with(lambda scene: scene.put(f"{MONTH}{FIRST}/reserved/100", b"")),
        "still reserved",
    ),
    "a launch was not paid": (lambda: _with(lambda scene: scene.work.delete(f"{MONTH}{FIRST}/paid/100")), "paid"),
    "a launch was paid twice": (lambda: _with(lambda scene: scene.put(f"{MONTH}{FIRST}/paid/90", b"")), "paid"),
    "a boot token is open": (lambda: sound(answered=[f"boot of {SECOND}"]), "could be answered after the end"),
    "the certification token is open": (lambda: sound(answered=["certification"]), "could be answered after the end"),
    "a job still runs": (lambda: _executions(job=[(JOB, "RUNNING")]), "executions of job still run"),
    "a job ran twice": (lambda: _executions(job=[(JOB, "SUCCEEDED")] * 2), "executions of job: {'train-1': 2}"),
    "two pipelines ran": (
        lambda: _executions(pipeline=[(EXECUTION, "SUCCEEDED"), ("pets-2", "SUCCEEDED")]),
        "2 executions of the pipeline",
    ),
    "a trigger failed": (lambda: _executions(start=[("event-1", "FAILED")]), "triggers failed: ['event-1']"),
}


def _with(change: Callable[[Scene], Any]) -> Scene:
    """A good end and one additional event."""
    scene = sound()
    change(scene)
    return scene


def _until(*steps: Callable[[Scene], Any]) -> Scene:
    """A version in `test`, and then these steps."""
    scene = Scene()
    scene.publish()
    scene.move("test")
    for step in steps:
        step(scene)
    return scene


def _executions(**of: list[tuple[str, str]]) -> Scene:
    scene = sound()
    scene.executions |= of
    return scene


def _replace_result(scene: Scene) -> None:
    scene.work.delete(job_result_key(JOB))
    scene.put(job_result_key(JOB), b"another")


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_violation_is_found(violation: str) -> None:
    make, expected = VIOLATIONS[violation]
    problems = make().problems()
    assert any(expected in problem for problem in problems), problems
