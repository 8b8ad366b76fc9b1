"""A camera turns to night, and nobody is at a terminal: drift alarm, pipeline, training, certification, canary, prod.

The state machines, EventBridge and CloudWatch are the emulator's; what an instance would do, a thread does with the
worker's own code, and really trains. Endpoints run in this process, with real models and the real recorder, and answer
on loopback. Hours of the camera are simulated.

The emulator evaluates alarms once a minute at best, on values of this hour. So the alarm's state is set here, from what
the job `drift` logged for the metric and from the rule that `infra` declares the alarm by.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, cast, override

import pytest
import torch

from infra.alarms import events
from infra.alarms.rules import described
from infra.configuration.alarm_actions import Action
from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline.alarms.pipeline_alarms import PipelineSignal, found_rules
from monitoring.drift_records import DriftRecord, record_of
from petpark.worker.attempt import Attempt, Stop, run_attempt
from petpark.worker.endings import Ending, of_result
from petpark.worker.order import Order, Purpose
from petpark.worker.purposes import dispatch
from petpark.worker.purposes.drift_checks import LATE
from petpark.worker.purposes.trainings import ensure_spec
from petpark.worker.tokens import Tokens
from registry.channels.channel import Channel
from registry.log_lines import DRIFTING_CAMERAS
from registry.store.s3_store import S3Store
from registry.telemetry import TelemetryPolicy
from rehearsal.emulator import Emulator
from tests.petpark.conftest import Place
from tests.rehearsal.pipeline.test_whole_run import Deployed, deploy, until
from tests.serving.conftest import Endpoint
from tests.serving.park import Park
from tests.training.conftest import REQUESTER
from tests.training.night_photos import KINDS, photo, write_photos
from training.dataset.ingest import ingest
from training.hyper_parameters import HyperParameters
from training.job import JobSpec
from training.jobs.run import run_job
from training.plan import Checks, EvaluationPlan, Gates

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(600)]

START = datetime(2026, 8, 1, 12, tzinfo=UTC)
PHOTOS = 60
"""An hour, one a minute."""

_LOOK_SECONDS = 0.5
"""Between two looks at what the emulator has no event for: each costs a request."""

RECIPE = HyperParameters(image_size=16, epochs=2, light=0.05)
GATES = {"accuracy": 0.0, "recall": 0.0, "slice_gap": 1.0, "calibration_error": 1.0, "robustness_drop": 1.0}
CHECKS = {"photos": 5, "calls": 2}
SETTINGS = PipelineSettings(
    boot_seconds=60,
    heartbeat_seconds=60,
    recipe="two-cores",
    rounds=("image_size=16 epochs=2 light=0.05",),
    canary_percent=50,
)


@dataclass
class Stage:
    """The park: a camera, an endpoint of each stack, and a registry in the emulator's S3."""

    directory: Path
    store: S3Store
    """Models, photos and records: their keys have nothing in common."""
    workspace: S3Store
    numbers: Iterator[int] = field(default_factory=lambda: count(10_000))
    """Of the photos during canaries, whose number depends on time; the camera's photos are always the same."""

    def __post_init__(self) -> None:
        (self.directory / "versions").mkdir()
        self.park = Park(self.directory / "versions", store=cast(Any, self.store), now=datetime.now(UTC))
        buckets: dict[str, Any] = {"models": self.store, "lake": self.store, "workspace": self.workspace}
        self.place = Place(buckets=buckets, key=self.park.signer)
        self.test = Endpoint(self.park, channel="test", require_certificate=False)
        self.prod = Endpoint(self.park, channel="prod", telemetry=TelemetryPolicy(sample_percent=100))
        self.servers = {"test": serve(self.test), "prod": serve(self.prod)}
        self.place.urls.update(
            {stack: f"http://127.0.0.1:{server.server_port}" for stack, server in self.servers.items()}
        )

    def close(self) -> None:
        for server in self.servers.values():
            server.shutdown()
            server.server_close()
        self.test.close()
        self.prod.close()

    def watch(self, hours: range, *, dark: float) -> float:
        """Some hours of the camera `gate`, with a share of dark photos; returns the share of correct predictions."""
        right = 0
        for hour in hours:
            for minute in range(PHOTOS):
                self.park.seconds = (START + timedelta(hours=hour, minutes=minute)).timestamp()
                right += self.see(hour * PHOTOS + minute, dark=minute // 2 % 4 < 4 * dark)
        recorder = self.prod.recorder
        assert recorder is not None
        recorder.take()
        recorder.write(everything=True)
        while recorder.upload() == 0.0:
            pass
        return right / len(hours) / PHOTOS

    def see(self, number: int, *, dark: bool) -> bool:
        """Whether the photo with this number is answered right."""
        kind = KINDS[number % 2]
        answer = self.prod.http.post(
            "/v1/classify",
            content=photo(kind, seed=10**6 + number, dark=dark),
            headers={"content-type": "image/jpeg", "x-petpark-camera": "gate", "x-request-id": f"{number:032x}"},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["label"] == kind

    def callers(self) -> None:
        """What happens at prod's endpoint between two looks of a canary."""
        for number in range(300):
            self.see(next(self.numbers), dark=True)
            if number % 10 == 0:
                self.prod.shadow.settle()  # or photos would be left out of the comparison
        self.prod.shadow.settle()

    def record(self) -> DriftRecord:
        found = record_of(self.workspace, "prod", START.date())
        assert found is not None
        return found


def serve(endpoint: Endpoint) -> ThreadingHTTPServer:
    """An endpoint on loopback. It polls its channel before each answer about the version that it serves."""
    following = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with following:
                endpoint.follow()
                endpoint.challenger.step()
            self._answer(endpoint.http.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self._answer(endpoint.http.post(self.path, content=body, headers=dict(self.headers.items())))

        def _answer(self, answer: Any) -> None:
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers.get("content-type", ""))
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        @override
        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@dataclass(eq=False)
class Workers(threading.Thread):
    """Begins a worker for each attempt of a job, as a launched instance would, and certifies what waits for it."""

    deployed: Deployed
    stage: Stage
    logged: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    problem: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()

    @override
    def run(self) -> None:
        seen: set[str] = set()
        try:
            while not self.stopping.wait(_LOOK_SECONDS):
                for key in self.deployed.keys(""):
                    if key not in seen and key.endswith(("/boot.json", "/certification.json")):
                        seen.add(key)
                        work = self._certify if key.endswith("/certification.json") else self._run_attempt
                        threading.Thread(target=self._guarded, args=(work, key), daemon=True).start()
        except BaseException as problem:
            self.problem = problem

    def _guarded(self, work: Callable[[str], object], key: str) -> None:
        try:
            work(key)
        except BaseException as problem:
            self.problem = problem

    def _certify(self, key: str) -> None:
        request = json.loads(self.stage.workspace.get(key))
        self.stage.park.certify(self.stage.park.catalog.version(request["version"], digest=request["digest"]))
        Tokens(self.deployed.client("stepfunctions")).succeed(
            request["token"], {"decision": "certified", "by": "quinn"}
        )

    def _run_attempt(self, key: str) -> None:
        _, job, _, attempt, _ = key.split("/")
        tokens = Tokens(self.deployed.client("stepfunctions"))
        run_attempt(
            Attempt(
                job=job, name=attempt, instance="i-1", workspace=self.stage.workspace, tokens=tokens,
                heartbeat_seconds=60, interruption=lambda: None, report=lambda _event, _facts: None,
                pause=lambda seconds: time.sleep(min(seconds, _LOOK_SECONDS)),
            ),
            self._work,
        )  # fmt: skip

    def _work(self, order: Order, stop: Stop) -> Ending:
        stage = self.stage
        if order.purpose.trains:
            spec = ensure_spec(stage.workspace, order, code=None)
            directory = stage.directory / order.job
            directory.mkdir()
            result = run_job(
                order.job, spec, workspace=stage.workspace, lake=stage.store, catalog=stage.park.catalog,
                directory=directory, prod=Channel(stage.store, "pets", "prod"), model_store="models",
            )  # fmt: skip
            return of_result(result)
        pause = (lambda _: stage.callers()) if order.purpose is Purpose.CANARY else lambda _: time.sleep(_LOOK_SECONDS)
        return dispatch.perform(
            order, stage.workspace, stop=stop, stack="test", targets=lambda stack: stage.place.target(stack=stack),
            pause=pause, report=lambda event, facts: self.logged.append({"event": event, **facts}),
        )  # fmt: skip


@pytest.fixture(scope="module")
def deployed(emulator: Emulator) -> Deployed:
    gates = {"data": {}, "model": GATES, "checks": CHECKS}
    return deploy(emulator, "night", settings=SETTINGS, gates=gates)


@pytest.fixture
def stage(deployed: Deployed, tmp_path: Path) -> Iterator[Stage]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    s3 = deployed.client("s3")
    made = Stage(tmp_path, store=S3Store(s3, deployed.lake), workspace=S3Store(s3, deployed.workspace))
    yield made
    made.close()
    torch.set_num_threads(threads)


@pytest.fixture
def workers(deployed: Deployed, stage: Stage) -> Iterator[Workers]:
    made = Workers(deployed=deployed, stage=stage)
    made.start()
    yield made
    made.stopping.set()
    made.join(30)


def alarm_on_drift(deployed: Deployed) -> Callable[[Mapping[str, object]], str]:
    """The alarm and its rule that starts the pipeline; returns what sets its state from what the job logged."""
    name, rule = "monitoring-drift-prod-night", found_rules("prod", least_accuracy=0)[PipelineSignal.DRIFT]
    watch, bus = deployed.client("cloudwatch"), deployed.client("events")
    watch.put_metric_alarm(
        AlarmName=name, AlarmDescription=described("drift", rule.description), Namespace="petpark",
        MetricName="drifting-cameras", Statistic=rule.statistic, Period=rule.period, EvaluationPeriods=rule.periods,
        Threshold=rule.threshold, ComparisonOperator=rule.comparison, TreatMissingData=rule.missing,
    )  # fmt: skip
    template = events.action_template(Action.START_PIPELINE, "test", "test")
    bus.put_rule(Name="night", EventPattern=json.dumps(events.pattern([name], changes=True)))
    transformer = {"InputPathsMap": events.paths(template), "InputTemplate": template}
    target = {"Id": "act", "Arn": deployed.aliases["act"], "RoleArn": deployed.role, "InputTransformer": transformer}
    assert bus.put_targets(Rule="night", Targets=[target])["FailedEntryCount"] == 0
    assert rule.comparison == "GreaterThanOrEqualToThreshold"

    def set_state(logged: Mapping[str, object]) -> str:
        state = "ALARM" if cast(float, logged[DRIFTING_CAMERAS.field]) >= rule.threshold else "OK"
        watch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=f"logged {logged}")
        return state

    return set_state


def ended(deployed: Deployed, workers: Workers, execution: str) -> dict[str, Any]:
    """The execution, once it runs no more, or once a worker had a problem; a training takes longer than other jobs."""
    states = deployed.client("stepfunctions")
    while True:
        found = states.describe_execution(executionArn=execution)
        if found["status"] != "RUNNING" or workers.problem is not None:
            return found
        workers.stopping.wait(_LOOK_SECONDS)


def compare(deployed: Deployed, workers: Workers, hours: int) -> dict[str, object]:
    """The scheduled comparison, as Scheduler starts it, `hours` after the start; what it logged."""
    at = (START + timedelta(hours=hours) + LATE).isoformat()
    before = len(workers.logged)
    started = deployed.client("stepfunctions").start_execution(
        stateMachineArn=deployed.aliases["act"],
        input=json.dumps({"action": "drift", "stack": "prod", "at": at}),
    )
    end = ended(deployed, workers, started["executionArn"])
    assert workers.problem is None
    assert end["status"] == "SUCCEEDED", (end.get("error"), end.get("cause"))
    (logged,) = workers.logged[before:]
    return logged


def test_a_night_leads_to_a_version_that_knows_it_in_prod_and_the_drift_is_gone(
    deployed: Deployed, stage: Stage, workers: Workers, tmp_path: Path
) -> None:
    park = stage.park
    write_photos(tmp_path / "photos", per_class=60, seed=0)
    (tmp_path / "first").mkdir()
    by_day = ingest(tmp_path / "photos", stage.store, seed=1).sha256
    plan = EvaluationPlan(gates=Gates(**GATES), checks=Checks(photos=5, calls=2))
    spec = JobSpec(dataset=by_day, seed=3, requested_by=REQUESTER, hyper_parameters=RECIPE, evaluation=plan)
    trained = run_job(
        "first", spec, workspace=stage.workspace, lake=stage.store, catalog=park.catalog, directory=tmp_path / "first"
    )
    first = park.catalog.version(trained.version or 0)
    park.certify(first)
    for channel in ("test", "prod"):
        Channel(stage.store, "pets", channel).move(first, by="otto", why="first")
    stage.prod.follow()
    set_state = alarm_on_drift(deployed)

    stage.watch(range(3), dark=0)
    assert set_state(compare(deployed, workers, 3)) == "OK"
    assert stage.watch(range(3, 5), dark=1) < 0.8
    write_photos(tmp_path / "photos", per_class=180, seed=0, dark=True)  # somebody labels photos of the night
    by_night = ingest(tmp_path / "photos", stage.store, seed=1).sha256
    assert set_state(compare(deployed, workers, 5)) == "ALARM", "two windows after the camera turned to night"
    assert stage.record().drifting == ("gate",)

    (started,) = until(lambda: deployed.executions("pipeline"))
    end = ended(deployed, workers, started["executionArn"])
    assert workers.problem is None
    assert end["status"] == "SUCCEEDED", (end.get("error"), end.get("cause"))
    assert json.loads(end["input"])["dataset"] == by_night
    second = park.catalog.version(json.loads(end["output"])["version"])
    assert second.number == 2
    jobs = {key.split("/")[1].rpartition("-")[0] for key in deployed.keys("jobs/")} - {"drift", ""}
    assert jobs == {"application-test", "canary", "dataset", "move", "read-back", "train"}
    history = Channel(stage.store, "pets", "prod").history()
    assert [entry.version for entry in history] == [1, 2]
    assert history[-1].why.startswith("experiment 1 (canary): ")
    assert stage.prod.in_force == 2

    assert stage.watch(range(6, 8), dark=180 / 240) > 0.9, "dark as often as in the dataset"
    assert set_state(compare(deployed, workers, 8)) == "OK", stage.record()
    assert stage.record().drifting == ()
