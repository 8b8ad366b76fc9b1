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
from infra.pipeline import janitor_machine, job_machine, lifecycle_machine, trigger_machine
from infra.pipeline.job_machine import JobFacts, LaunchTemplate
from infra.pipeline.stages import LifecycleFacts
from infra.pipeline.trigger_machine import TriggerFacts, manifest_pattern
from rehearsal.emulator import Emulator

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(300)]

DATASET = "ab" * 32
OUTCOMES = {
    "dataset": ["passed"],
    "train": ["refused", "published"],
    "move": ["moved"],
    "application-test": ["passed"],
    "canary": ["promoted"],
    "read-back": ["passed"],
}
SETTINGS = PipelineSettings(boot_seconds=60, heartbeat_seconds=30, rounds=("", "epochs=9"), canary_percent=5)


@dataclass(eq=False)
class Worker(threading.Thread):
    """Answers every token: jobs by `OUTCOMES`, certification by a decision; the first training is interrupted."""

    client: Callable[[str], Any]
    bucket: str
    outcomes: dict[str, list[str]] = field(
        default_factory=lambda: {name: list(each) for name, each in OUTCOMES.items()}
    )
    problem: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.interrupted: set[str] = set()

    def run(self) -> None:
        s3, answered = self.client("s3"), set[str]()
        try:
            while not self.stopping.wait(0.1):
                for entry in s3.list_objects_v2(Bucket=self.bucket).get("Contents", []):
                    if entry["Key"] not in answered:
                        answered.add(entry["Key"])
                        self._see(s3, entry["Key"])
        except BaseException as problem:
            self.problem = problem

    def _see(self, s3: Any, key: str) -> None:
        if not key.endswith(("/boot.json", "/run.json", "/certification.json")):
            return
        body = json.loads(s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        answer: dict[str, Any] = {"instance": "i-1"}
        if key.endswith("/certification.json"):
            answer = {"decision": "certified", "by": "vera"}
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
        s3.put_object(Bucket=self.bucket, Key=key, Body=json.dumps(result | {"metrics": {}, "message": "because"}))
        return {"result": key}


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The four state machines, and where they work."""

    client: Callable[[str], Any]
    workspace: str
    lake: str
    aliases: Mapping[str, str]

    def execute(self, machine: str, given: Mapping[str, Any]) -> dict[str, Any]:
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=self.aliases[machine], input=json.dumps(given)
        )
        return self.ended(started["executionArn"])

    def ended(self, execution: str) -> dict[str, Any]:
        """The execution, once it runs no more."""
        states = self.client("stepfunctions")
        return _until(
            lambda: (
                found if (found := states.describe_execution(executionArn=execution))["status"] != "RUNNING" else None
            )
        )

    def executions(self, machine: str) -> list[dict[str, Any]]:
        arn = self.aliases[machine].rpartition(":")[0]
        return self.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"]

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


def _until[T](look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen within four minutes")


@pytest.fixture(scope="module")
def deployed(emulator: Emulator) -> Deployed:
    client = emulator.client
    names = {name: f"whole-run-{name}" for name in ("workspace", "lake")}
    for name in names.values():
        client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": emulator.region})
    role = _role(client)
    topic = client("sns").create_topic(Name="whole-run")["TopicArn"]
    template, subnets = _template(client)
    made: dict[str, str] = {}

    def create(name: str, definition: Mapping[str, Any]) -> None:
        states = client("stepfunctions")
        arn = states.create_state_machine(name=f"whole-run-{name}", definition=json.dumps(definition), roleArn=role)
        version = states.publish_state_machine_version(stateMachineArn=arn["stateMachineArn"])
        route = {"stateMachineVersionArn": version["stateMachineVersionArn"], "weight": 100}
        made[name] = states.create_state_machine_alias(name="live", routingConfiguration=[route])[
            "stateMachineAliasArn"
        ]

    kinds = {
        name: LaunchTemplate(template=template, usd_per_hour={"t3.large": 0.1}, spot=name == "training")
        for name in ("training", "small")
    }
    tags = {"petpark:stack": names["workspace"]}
    job = JobFacts(workspace=names["workspace"], subnets=subnets, machines=kinds, tags=tags, settings=SETTINGS)
    create("job", job_machine.definition(job))
    lifecycle = LifecycleFacts(
        **names,
        job=made["job"],
        topic=topic,
        code="code",
        gates={},
        stack="test",
        channel="test",
        settings=SETTINGS,
    )
    create("pipeline", lifecycle_machine.definition(lifecycle))
    create("start", trigger_machine.definition(TriggerFacts(pipeline=made["pipeline"], lifecycle=lifecycle)))
    create("janitor", janitor_machine.definition(names["workspace"]))
    _notify(client, names["lake"], made["start"], role)
    return Deployed(client=client, aliases=made, **names)


def _role(client: Callable[[str], Any]) -> str:
    services = ["states.amazonaws.com", "events.amazonaws.com"]
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": services}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn: str = client("iam").create_role(RoleName="whole-run", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    client("iam").put_role_policy(
        RoleName="whole-run",
        PolicyName="all",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )
    return arn


def _template(client: Callable[[str], Any]) -> tuple[str, list[str]]:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.88.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.88.{number}.0/24", AvailabilityZone=f"eu-west-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    data = {"ImageId": "ami-1", "InstanceType": "t3.large"}
    made = ec2.create_launch_template(LaunchTemplateName="whole-run", LaunchTemplateData=data)
    return made["LaunchTemplate"]["LaunchTemplateId"], subnets


def _notify(client: Callable[[str], Any], lake: str, start: str, role: str) -> None:
    client("s3").put_bucket_notification_configuration(
        Bucket=lake, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    client("events").put_rule(Name="whole-run", EventPattern=json.dumps(manifest_pattern(lake)))
    client("events").put_targets(Rule="whole-run", Targets=[{"Id": "start", "Arn": start, "RoleArn": role}])


@pytest.fixture
def worker(deployed: Deployed) -> Iterator[Worker]:
    made = Worker(client=deployed.client, bucket=deployed.workspace)
    made.start()
    yield made
    made.stopping.set()
    made.join(30)


def test_a_new_manifest_becomes_a_version_in_prod_with_nobody_at_a_terminal(deployed: Deployed, worker: Worker):
    deployed.client("s3").put_object(Bucket=deployed.lake, Key=f"datasets/{DATASET}.jsonl", Body=b"{}")
    started = _until(lambda: deployed.executions("pipeline"))
    end = deployed.ended(started[0]["executionArn"])
    assert worker.problem is None
    assert end["status"] == "SUCCEEDED", (end.get("error"), end.get("cause"))
    assert json.loads(end["output"])["version"] == 7
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
    assert len(deployed.executions("pipeline")) == 1


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
