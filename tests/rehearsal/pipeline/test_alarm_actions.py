"""An alarm changes its state, and what its rules say happens: on the emulator's CloudWatch, EventBridge, SNS and Step
Functions, with a webhook on loopback and the worker's own code.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

import pytest

from infra.alarms import events
from infra.alarms.rules import described
from infra.configuration.alarm_actions import Action
from infra.pipeline.alarms import action_machine
from petpark.models import decisions
from petpark.worker.order import Order
from petpark.worker.purposes import dispatch
from registry.channels.channel import Channel
from registry.store.s3_store import S3Store
from rehearsal.emulator import Emulator
from tests.petpark.conftest import Place
from tests.petpark.conftest import place as place
from tests.petpark.conftest import publish as publish
from tests.petpark.reports.test_commands import park as park
from tests.rehearsal.pipeline.test_whole_run import DATASET, Deployed, Worker, deploy, until
from tests.rehearsal.pipeline.test_whole_run import worker as worker

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(300)]

DESCRIPTION = described("errors", "The endpoint returns errors (status 500 and above).")
REASON = 'Threshold Crossed: 3 datapoints, a "person" said so'


@dataclass(eq=False)
class Webhook:
    """What was posted to an address on loopback."""

    posts: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    came: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""

    def to(self, path: str, **having: str) -> list[dict[str, Any]]:
        return [
            body
            for where, body in self.posts
            if where == path and all(body.get(name) == text for name, text in having.items())
        ]

    def wait(self, path: str, count: int = 1, **having: str) -> list[dict[str, Any]]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.to(path, **having)) >= count, timeout=60), self.posts
        return self.to(path, **having)

    def take(self, path: str, body: dict[str, Any]) -> None:
        with self.came:
            self.posts.append((path, body))
            self.came.notify_all()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            made.take(self.path, body)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def deployed(emulator: Emulator) -> Deployed:
    return deploy(emulator, "alarms-act")


def alarm(deployed: Deployed, name: str, **more: Any) -> Callable[[str], object]:
    """Make an alarm on errors; returns how its state is set."""
    watch = deployed.client("cloudwatch")
    watch.put_metric_alarm(
        AlarmName=name,
        AlarmDescription=DESCRIPTION,
        Namespace="petpark",
        MetricName=name,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
        **more,
    )
    return lambda state: watch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=REASON)


def rule(deployed: Deployed, name: str, pattern: Mapping[str, Any], template: str, target: str) -> None:
    """As `infra.alarms.alarm_actions` declares it."""
    client = deployed.client("events")
    client.put_rule(Name=name, EventPattern=json.dumps(pattern))
    transformer = {"InputPathsMap": events.paths(template), "InputTemplate": template}
    made = {"Id": "t", "Arn": target, "RoleArn": deployed.role, "InputTransformer": transformer}
    assert client.put_targets(Rule=name, Targets=[made])["FailedEntryCount"] == 0


def test_the_chat_gets_a_readable_message_when_an_alarm_starts_and_clears(deployed: Deployed, webhook: Webhook):
    set_state = alarm(deployed, "monitoring-chat-1")
    client = deployed.client("events")
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Petpark", "ApiKeyValue": "prod"}}
    connection = client.create_connection(Name="actions-chat", AuthorizationType="API_KEY", AuthParameters=key)
    destination = client.create_api_destination(
        Name="actions-chat",
        ConnectionArn=connection["ConnectionArn"],
        InvocationEndpoint=f"{webhook.url}/chat",
        HttpMethod="POST",
    )["ApiDestinationArn"]
    pattern = events.pattern(["monitoring-chat-1"], changes=False)
    rule(deployed, "actions-chat", pattern, events.chat_template("prod"), destination)
    set_state("OK")
    set_state("ALARM")
    (first,) = webhook.wait("/chat")
    set_state("OK")
    _, second = webhook.wait("/chat", 2)
    assert first["text"].startswith("petpark prod: monitoring-chat-1 is ALARM (it was OK) since 20")
    assert first["text"].endswith(DESCRIPTION)
    assert first["attachments"] == [{"text": REASON}]
    assert second["text"].startswith("petpark prod: monitoring-chat-1 is OK (it was ALARM) since 20")


def test_a_page_reaches_a_service_that_confirmed_its_subscription(deployed: Deployed, webhook: Webhook):
    topic = deployed.client("sns").create_topic(Name="monitoring-alarms-1")["TopicArn"]
    set_state = alarm(deployed, "monitoring-page-1", AlarmActions=[topic], OKActions=[topic])
    subscribe(deployed, topic, webhook, "/pager")
    set_state("ALARM")
    (page,) = webhook.wait("/pager", Type="Notification")
    assert page["Subject"].startswith('ALARM: "monitoring-page-1"')
    told = json.loads(page["Message"])
    assert (told["NewStateValue"], told["AlarmDescription"]) == ("ALARM", DESCRIPTION)


def subscribe(deployed: Deployed, topic: str, webhook: Webhook, path: str) -> None:
    """Subscribe and confirm, as on-call services do; the emulator takes the address to visit from nobody unknown."""
    sns = deployed.client("sns")
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"{webhook.url}{path}")
    (asked,) = webhook.wait(path, Type="SubscriptionConfirmation")
    sns.confirm_subscription(TopicArn=topic, Token=asked["Token"])


class Operator(Worker):
    """Answers tokens by what the worker's own code does for the purpose `rollback`."""

    def __init__(self, deployed: Deployed, place: Place) -> None:
        super().__init__(client=deployed.client, bucket=deployed.workspace, states_of=deployed.states_of)
        self.place = place

    @override
    def _result(self, s3: Any, job: str) -> dict[str, str]:
        store = S3Store(s3, self.bucket)
        order = Order.from_json(store.get(f"jobs/{job}/order.json"))
        ending = dispatch.perform(
            order,
            store,
            stop=lambda: None,
            stack="test",
            targets=lambda stack: self.place.target(stack=stack),
        )
        return {name: str(value) for name, value in ending.output.items()}


def test_an_alarm_after_a_promotion_rolls_back_once_even_if_its_event_is_delivered_twice(
    deployed: Deployed, place: Place, publish: Callable[..., Any], webhook: Webhook
):
    versions = [publish(), publish()]
    for version in versions:
        decisions.promote(place.target(), version.number, channel="test", why="because")
    subscribe(deployed, deployed.topic, webhook, "/mail")
    template = events.action_template(Action.ROLLBACK, "test", "test")
    for number in (1, 2):  # two rules: the same event is delivered twice
        pattern = events.pattern(["monitoring-errors-1"], changes=True)
        rule(deployed, f"actions-rollback-{number}", pattern, template, deployed.aliases["act"])
    set_state = alarm(deployed, "monitoring-errors-1")
    operator = Operator(deployed, place)
    operator.start()
    set_state("ALARM")
    ended = until(lambda: _ended(deployed, "act", 2))
    operator.stopping.set()
    operator.join(30)
    assert operator.problem is None
    assert sorted(json.loads(each["output"])["repeated"] for each in ended) == [False, True]
    history = Channel(place.buckets["models"], "pets", "test").history()
    assert [entry.version for entry in history] == [1, 2, 1]
    assert history[-1].why.startswith("alarm monitoring-errors-1 of stack test since 20")
    assert len(deployed.executions("job")) == 1
    (mail,) = webhook.wait("/mail", Type="Notification")
    assert "rolled-back: test is back at version 1 (entry 3)" in mail["Message"]
    assert mail["Subject"] == "petpark: test: result of an alarm action"


def _ended(deployed: Deployed, machine: str, count: int) -> list[dict[str, Any]] | None:
    found = deployed.executions(machine)
    done = [each for each in found if each["status"] != "RUNNING"]
    if len(done) < count:
        return None
    assert {each["status"] for each in done} == {"SUCCEEDED"}, done
    states = deployed.client("stepfunctions")
    return [states.describe_execution(executionArn=each["executionArn"]) for each in done]


def test_a_drift_alarm_starts_the_pipeline_with_the_newest_dataset(deployed: Deployed, worker: Worker):
    deployed.client("s3").put_object(Bucket=deployed.lake, Key=f"datasets/{DATASET}.jsonl", Body=b"{}")
    before = len(deployed.executions("act"))
    pattern = events.pattern(["monitoring-drift-prod-1"], changes=True)
    template = events.action_template(Action.START_PIPELINE, "test", "test")
    rule(deployed, "actions-start-pipeline", pattern, template, deployed.aliases["act"])
    set_state = alarm(deployed, "monitoring-drift-prod-1")
    set_state("ALARM")
    (started,) = until(lambda: deployed.executions("pipeline"))
    assert json.loads(_described(deployed, started)["input"])["dataset"] == DATASET
    ended = until(lambda: _ended(deployed, "act", before + 1))
    assert any(started["executionArn"] in json.loads(each["output"])["done"] for each in ended)
    assert deployed.ended(started["executionArn"])["status"] == "SUCCEEDED"


def _described(deployed: Deployed, execution: Mapping[str, Any]) -> dict[str, Any]:
    return deployed.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])


def test_the_monthly_report_is_stored_and_then_sent_by_its_schedule(deployed: Deployed, park: Place, webhook: Webhook):
    subscribe(deployed, deployed.topic, webhook, "/tickets")
    before = len(deployed.executions("act"))
    operator = Operator(deployed, park)
    operator.start()
    schedule(deployed, "pipeline-monthly-report", action_machine.monthly_report_input("prod"))
    (mail,) = webhook.wait("/tickets", Type="Notification", Subject="petpark: test: monthly report")
    until(lambda: _ended(deployed, "act", before + 1))
    operator.stopping.set()
    operator.join(30)
    assert operator.problem is None
    (key,) = park.buckets["lake"].keys("reports/stack=prod/monthly/")
    assert mail["Message"].startswith("Monthly report: ")
    assert f"aws s3 cp s3://lake/{key} ." in mail["Message"]


def test_a_schedule_starts_a_drift_job(deployed: Deployed, worker: Worker):
    worker.outcomes["drift"] = ["written"]
    before = len(deployed.executions("act"))
    at = schedule(deployed, "pipeline-drift-prod", action_machine.drift_input("prod"))
    until(lambda: _ended(deployed, "act", before + 1))
    (job,) = {key.split("/")[1] for key in deployed.keys("jobs/drift-")}
    order = json.loads(
        deployed.client("s3").get_object(Bucket=deployed.workspace, Key=f"jobs/{job}/order.json")["Body"].read()
    )
    assert order["inputs"] == {"stack": "prod", "at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}


def schedule(deployed: Deployed, name: str, given: Mapping[str, str]) -> datetime:
    """Make a schedule that starts `act` once, in two seconds; returns when."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    deployed.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": deployed.aliases["act"], "RoleArn": deployed.role, "Input": json.dumps(given)},
    )
    return at
