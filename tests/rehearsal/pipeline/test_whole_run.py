"""One lifecycle, executed by the emulator's Step Functions, EventBridge and EC2, with a worker that only answers.

What the worker does is tested where it is; here is what goes on without it: triggers, launches, tokens, retries,
certification, the janitor.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline import job_machine, trigger_machine
from infra.pipeline.alarms import action_machine
from infra.pipeline.alarms.action_machine import ActionFacts
from infra.pipeline.janitor import janitor_machine
from infra.pipeline.janitor.janitor_machine import JanitorFacts
from infra.pipeline.job.facts import JobFacts, LaunchTemplate
from infra.pipeline.lifecycle import lifecycle_machine
from infra.pipeline.lifecycle.stages import LifecycleFacts
from infra.pipeline.trigger_machine import TriggerFacts, manifest_pattern
from petpark.pipeline.stage_times import stage_times
from rehearsal.emulator import Emulator

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(300)]

LOOK_SECONDS = 0.3
"""Interval of polls where the emulator sends no event: each poll costs it 10 to 40 ms of CPU time."""

DATASET, SCHEDULED = "ab" * 32, "cd" * 32
RULE, SCHEDULE = "whole-run", "whole-run"
OUTCOMES = {
    "dataset": ["passed"],
    "train": ["refused", "published"],
    "move": ["moved"],
    "application-test": ["passed"],
    "canary": ["promoted"],
    "read-back": ["passed"],
}
STAGES = ["CheckDataset", "Train", "Train", "MoveTest", "ApplicationTest", "Canary", "MoveProd", "ReadBack"]
WORKED = 0.01
SETTINGS = PipelineSettings(boot_seconds=60, heartbeat_seconds=30, rounds=("", "epochs=9"), canary_percent=5)


@dataclass(eq=False)
class Worker(threading.Thread):
    """Answers every token: jobs by `OUTCOMES`, certification by a decision; the first training is interrupted."""

    client: Callable[[str], Any]
    bucket: str
    states_of: Callable[[str], list[str]]
    outcomes: dict[str, list[str]] = field(
        default_factory=lambda: {name: list(each) for name, each in OUTCOMES.items()}
    )
    problem: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.answered = {*self._keys(self.client("s3"))}  # by another worker, or of pipelines that are over
        self.interrupted: set[str] = set()
        self.asked: dict[str, str] = {}

    def run(self) -> None:
        s3 = self.client("s3")
        try:
            while not self.stopping.wait(LOOK_SECONDS):
                for key in self._keys(s3):
                    if key not in self.answered:
                        self.answered.add(key)
                        self._see(s3, key)
        except BaseException as problem:
            self.problem = problem

    def _keys(self, s3: Any) -> list[str]:
        return [entry["Key"] for entry in s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def _see(self, s3: Any, key: str) -> None:
        if not key.endswith(("/boot.json", "/run.json", "/certification.json")):
            return
        body = json.loads(s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        answer: dict[str, Any] = {"instance": "i-1"}
        if key.endswith("/certification.json"):
            answer = {"decision": "certified", "by": "vera"}
            self.asked[body["execution"]] = self.states_of(body["execution"])[-1]
        elif key.endswith("/run.json"):
            job = key.split("/")[1]
            if job.startswith("train-") and not self.interrupted:
                self.interrupted.add(job)
                self.client("stepfunctions").send_task_failure(
                    taskToken=body["token"], error="Interrupted", cause='a "notice"'
                )
                return
            answer = self._result(s3, job)
        self.client("stepfunctions").send_task_success(taskToken=body["token"], output=json.dumps(answer))

    def _result(self, s3: Any, job: str) -> dict[str, str]:
        planned = self.outcomes[job.rpartition("-")[0]]
        outcome = planned.pop(0) if len(planned) > 1 else planned[0]
        result = {"job": job, "status": "succeeded", "outcome": outcome, "version": 7, "digest": "sha256:ab"}
        key = f"jobs/{job}/result.json"
        s3.put_object(
            Bucket=self.bucket,
            Key=key,
            Body=json.dumps(result | {"metrics": {}, "message": "because", "seconds": WORKED}),
        )
        return {"result": key}


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The four state machines, and where they work."""

    client: Callable[[str], Any]
    workspace: str
    lake: str
    aliases: Mapping[str, str]
    topic: str
    role: str

    def execute(self, machine: str, given: Mapping[str, Any]) -> dict[str, Any]:
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=self.aliases[machine], input=json.dumps(given)
        )
        return self.ended(started["executionArn"])

    def ended(self, execution: str) -> dict[str, Any]:
        """The execution, once it runs no more."""
        states = self.client("stepfunctions")
        return until(
            lambda: (
                found if (found := states.describe_execution(executionArn=execution))["status"] != "RUNNING" else None
            )
        )

    def history(self, execution: str) -> list[dict[str, Any]]:
        """Every event of an execution."""
        pages = self.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event for page in pages for event in page["events"]]

    def executions(self, machine: str) -> list[dict[str, Any]]:
        arn = self.aliases[machine].rpartition(":")[0]
        return self.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"]

    def states_of(self, name: str) -> list[str]:
        """The states that an execution of the pipeline has entered so far."""
        arn = self.aliases["pipeline"].rpartition(":")[0].replace(":stateMachine:", ":execution:")
        pages = (
            self.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=f"{arn}:{name}")
        )
        events = [event for page in pages for event in page["events"]]
        return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]

    def live(self) -> list[dict[str, Any]]:
        """Instances of jobs that run."""
        filters = [
            {"Name": "tag:petpark:stack", "Values": [self.workspace]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
        found = self.client("ec2").describe_instances(Filters=filters)["Reservations"]
        return [instance for reservation in found for instance in reservation["Instances"]]

    def keys(self, prefix: str) -> list[str]:
        found = self.client("s3").list_objects_v2(Bucket=self.workspace, Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in found]


def until[T](look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(LOOK_SECONDS)
    raise AssertionError("it did not happen within four minutes")


@pytest.fixture(scope="module")
def deployed(emulator: Emulator) -> Deployed:
    made = deploy(emulator, "whole-run")
    _notify(made.client, made.lake, made.aliases["start"], made.role)
    return made


def deploy(
    emulator: Emulator, prefix: str, *, settings: PipelineSettings = SETTINGS, gates: Mapping[str, Any] | None = None
) -> Deployed:
    """All state machines, in buckets of their own; names begin with `prefix`."""
    client = emulator.client
    names = {name: f"{prefix}-{name}" for name in ("workspace", "lake")}
    for name in (*names.values(), f"{prefix}-store"):
        client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": emulator.region})
    role = role_of(client, prefix)
    topic = client("sns").create_topic(Name=prefix)["TopicArn"]
    template, subnets = template_of(client, prefix)
    made: dict[str, str] = {}

    def create(name: str, definition: Mapping[str, Any]) -> None:
        made[name] = alias_of(client, f"{prefix}-{name}", definition, role)

    kinds = {
        name: LaunchTemplate(template=template, usd_per_hour={"t3.large": 0.1}, spot=name == "training")
        for name in ("training", "small")
    }
    tags = {"petpark:stack": names["workspace"]}
    job = JobFacts(workspace=names["workspace"], subnets=subnets, machines=kinds, tags=tags, settings=settings)
    create("job", job_machine.definition(job))
    lifecycle = LifecycleFacts(
        **names,
        model="pets",
        model_store=f"{prefix}-store",
        job=made["job"],
        study="none: nothing is searched",
        topic=topic,
        code="code",
        gates=gates or {},
        stack="test",
        channel="test",
        settings=settings,
    )
    create("pipeline", lifecycle_machine.definition(lifecycle))
    create("start", trigger_machine.definition(TriggerFacts(pipeline=made["pipeline"], lifecycle=lifecycle)))
    janitor = JanitorFacts(
        stack=names["workspace"],
        workspace=names["workspace"],
        job=made["job"],
        boot_seconds=settings.boot_seconds,
        namespace="petpark",
    )
    create("janitor", janitor_machine.definition(janitor))
    act = ActionFacts(job=made["job"], start=made["start"], topic=topic, tickets=topic, stack="test", settings=settings)
    create("act", action_machine.definition(act))
    return Deployed(client=client, aliases=made, topic=topic, role=role, **names)


def alias_of(client: Callable[[str], Any], name: str, definition: Mapping[str, Any], role: str) -> str:
    """Make a state machine; the ARN of its alias."""
    states = client("stepfunctions")
    arn = states.create_state_machine(name=name, definition=json.dumps(definition), roleArn=role)
    version = states.publish_state_machine_version(stateMachineArn=arn["stateMachineArn"])
    route = {"stateMachineVersionArn": version["stateMachineVersionArn"], "weight": 100}
    return states.create_state_machine_alias(name="live", routingConfiguration=[route])["stateMachineAliasArn"]


def role_of(client: Callable[[str], Any], name: str) -> str:
    services = [f"{service}.amazonaws.com" for service in ("states", "events", "scheduler")]
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": services}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn: str = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    client("iam").put_role_policy(
        RoleName=name,
        PolicyName="all",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )
    return arn


def template_of(client: Callable[[str], Any], name: str) -> tuple[str, list[str]]:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.88.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.88.{number}.0/24", AvailabilityZone=f"eu-west-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    data = {"ImageId": "ami-1", "InstanceType": "t3.large"}
    made = ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    return made["LaunchTemplate"]["LaunchTemplateId"], subnets


def _notify(client: Callable[[str], Any], lake: str, start: str, role: str) -> None:
    client("s3").put_bucket_notification_configuration(
        Bucket=lake, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    client("events").put_rule(Name=RULE, EventPattern=json.dumps(manifest_pattern(lake)))
    client("events").put_targets(Rule=RULE, Targets=[{"Id": "start", "Arn": start, "RoleArn": role}])


@pytest.fixture
def worker(deployed: Deployed) -> Iterator[Worker]:
    made = Worker(client=deployed.client, bucket=deployed.workspace, states_of=deployed.states_of)
    made.start()
    yield made
    made.stopping.set()
    made.join(30)


def test_a_new_manifest_becomes_a_version_in_prod_with_nobody_at_a_terminal(deployed: Deployed, worker: Worker):
    deployed.client("s3").put_object(Bucket=deployed.lake, Key=f"datasets/{DATASET}.jsonl", Body=b"{}")
    started = until(lambda: deployed.executions("pipeline"))
    during = deployed.execute("start", {"newest": True})
    assert json.loads(during["output"]) == {"started": False, "execution": started[0]["executionArn"]}
    end = deployed.ended(started[0]["executionArn"])
    assert worker.problem is None
    assert end["status"] == "SUCCEEDED", (end.get("error"), end.get("cause"))
    assert json.loads(end["output"])["version"] == 7
    times = stage_times(deployed.history(started[0]["executionArn"]))
    assert [each.state for each in times] == STAGES
    assert all(each.seconds and each.work == WORKED and each.usd for each in times), times
    jobs = sorted({key.split("/")[1].rpartition("-")[0] for key in deployed.keys("jobs/")})
    assert jobs == ["application-test", "canary", "dataset", "move", "read-back", "train"]
    trainings = {key.split("/")[1] for key in deployed.keys("jobs/train-")}
    assert len(trainings) == 2, "a gate refused the first, and other settings were tried"
    (interrupted,) = worker.interrupted
    attempts = {key.split("/")[3] for key in deployed.keys(f"jobs/{interrupted}/attempts/")}
    assert len(attempts) == 2, "and it was interrupted once"
    assert deployed.live() == []
    assert not [key for key in deployed.keys("spending/") if "/reserved/" in key]
    again = deployed.execute("start", {"newest": True})
    assert json.loads(again["output"]) == {"started": False, "execution": started[0]["executionArn"]}
    assert len([one for one in deployed.executions("pipeline") if _is_of(one, DATASET)]) == 1


@pytest.fixture
def no_events(deployed: Deployed) -> Iterator[None]:
    """Nobody hears of new manifests."""
    deployed.client("events").disable_rule(Name=RULE)
    yield
    deployed.client("events").enable_rule(Name=RULE)


@pytest.mark.usefixtures("no_events")
def test_a_schedule_takes_the_newest_dataset_to_prod_through_a_gate_that_refuses_first(
    deployed: Deployed, worker: Worker
):
    deployed.client("s3").put_object(Bucket=deployed.lake, Key=f"datasets/{SCHEDULED}.jsonl", Body=b"{}")
    role = deployed.client("iam").get_role(RoleName="whole-run")["Role"]["Arn"]
    target = {"Arn": deployed.aliases["start"], "RoleArn": role, "Input": json.dumps({"newest": True})}
    deployed.client("scheduler").create_schedule(
        Name=SCHEDULE, ScheduleExpression="rate(1 minute)", FlexibleTimeWindow={"Mode": "OFF"}, Target=target
    )
    try:
        (name,) = until(lambda: [one["name"] for one in deployed.executions("pipeline") if _is_of(one, SCHEDULED)])
        arn = next(one["executionArn"] for one in deployed.executions("pipeline") if one["name"] == name)
        end = deployed.ended(arn)
    finally:
        deployed.client("scheduler").delete_schedule(Name=SCHEDULE)
    assert worker.problem is None
    assert end["status"] == "SUCCEEDED", (end.get("error"), end.get("cause"))
    states = deployed.states_of(name)
    gates = states[states.index("Gates") : states.index("MoveTest")]
    assert gates == ["Gates", "NextRound", "Train", "Gates"], "it was refused, went back, and passed"
    assert worker.asked == {name: "WaitForCertification"}, "it waited for one decision, and got it"
    assert states[-1] == "Done"
    assert deployed.live() == []


def _is_of(execution: Mapping[str, Any], dataset: str) -> bool:
    return execution["name"].startswith(dataset[:12])


def test_the_janitor_ends_an_instance_that_nobody_waits_for(deployed: Deployed):
    waited = "arn:aws:states:eu-west-1:000000000000:execution:whole-run-job:gone"
    tags = {"petpark:stack": deployed.workspace, "petpark:execution": waited, "petpark:deadline": "9999999999"}
    deployed.client("ec2").run_instances(
        ImageId="ami-1",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
    )
    assert len(deployed.live()) == 1
    end = deployed.execute("janitor", {})
    assert end["status"] == "SUCCEEDED", (end.get("error"), end.get("cause"))
    assert deployed.live() == []
