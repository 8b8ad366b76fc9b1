"""The state machine `job` with the real worker on rehearsed instances: a training that is killed goes on elsewhere."""

import base64
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.configuration.pipeline_settings import PipelineSettings
from infra.instances.code_bundle import build
from infra.instances.user_data import Bundle, job_script
from infra.pipeline import job_machine
from infra.pipeline.job_machine import JobFacts, LaunchTemplate
from registry.layout import ATTEMPT_TAG, Variable, attempts_of_job_prefix, checkpoints_prefix, code_key, epochs_prefix
from registry.store.s3_store import S3Store
from registry.versions.catalog import Catalog
from rehearsal.emulator import REPOSITORY, Emulator
from rehearsal.instances import InstanceRunner
from tests.rehearsal.emulator.conftest import TRUST_EC2
from training.dataset.generated import generate
from training.dataset.ingest import ingest
from training.job import find_result, load_spec

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(600)]

JOB = "train-0123456789abcdef"
ASKER = "arn:aws:sts::000000000000:assumed-role/publisher/ana"
ASKS_NOTHING = {"accuracy": 0, "recall": 0, "slice_gap": 1, "calibration_error": 1, "robustness_drop": 1}
BUCKETS = {name: f"real-worker-{name}" for name in ("workspace", "lake", "models")}
PATIENCE = 240.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """A state machine `job` that launches instances of this repository's code."""

    client: Callable[[str], Any]
    machine: str
    runner: InstanceRunner

    def store(self, name: str) -> S3Store:
        return S3Store(self.client("s3"), BUCKETS[name])

    def instances(self, attempt: str) -> list[str]:
        """Those of one attempt, whatever their state."""
        wanted = [{"Name": f"tag:{ATTEMPT_TAG}", "Values": [attempt]}]
        found = self.client("ec2").describe_instances(Filters=wanted)["Reservations"]
        return [machine["InstanceId"] for reservation in found for machine in reservation["Instances"]]


@pytest.fixture(scope="module")
def place(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("real-worker")
    for name in BUCKETS.values():
        emulator.client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": emulator.region}
        )
    everything = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    )
    iam = emulator.client("iam")
    trust = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "states.amazonaws.com"}}
            ],
        }
    )
    roles = {"states": trust, "instance": TRUST_EC2}
    arns = {
        name: iam.create_role(RoleName=f"real-worker-{name}", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        for name, document in roles.items()
    }
    for name in roles:
        iam.put_role_policy(RoleName=f"real-worker-{name}", PolicyName="all", PolicyDocument=everything)
    profile = iam.create_instance_profile(InstanceProfileName="real-worker")["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName="real-worker", RoleName="real-worker-instance")
    template, subnet = _template(emulator, profile, _bundle(emulator, directory))
    kind = LaunchTemplate(template=template, usd_per_hour={"t3.large": 0.1}, spot=True)
    settings = PipelineSettings(boot_seconds=120, heartbeat_seconds=60, capacity_seconds=1)
    facts = JobFacts(
        workspace=BUCKETS["workspace"],
        subnets=[subnet],
        machines={"training": kind, "small": kind},
        tags={},
        settings=settings,
    )
    machine = emulator.client("stepfunctions").create_state_machine(
        name="real-worker", definition=json.dumps(job_machine.definition(facts)), roleArn=arns["states"]
    )
    with InstanceRunner(emulator, directory, python=Path(sys.executable)) as runner:
        yield Place(client=emulator.client, machine=machine["stateMachineArn"], runner=runner)


def _bundle(emulator: Emulator, directory: Path) -> Bundle:
    path, sha256 = build(REPOSITORY, directory / "bundle")
    key = code_key("test", sha256)
    emulator.client("s3").upload_file(str(path), BUCKETS["workspace"], key)
    return Bundle(bucket=BUCKETS["workspace"], key=key, sha256=sha256)


def _template(emulator: Emulator, profile: str, bundle: Bundle) -> tuple[str, str]:
    """A launch template as `infra` declares it, as far as the rehearsal looks at it, and a subnet."""
    script = job_script(
        region=emulator.region,
        bundle=bundle,
        environment={
            Variable.MODEL_STORE: BUCKETS["models"],
            Variable.DATA_LAKE: BUCKETS["lake"],
            Variable.WORKSPACE: BUCKETS["workspace"],
            Variable.MODEL: "pets",
            Variable.HEARTBEAT_SECONDS: "60",
            Variable.STACK: "test",
        },
        max_minutes=30,
    )
    ec2 = emulator.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.91.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.91.1.0/24")["Subnet"]["SubnetId"]
    data = {
        "ImageId": "ami-12345678",
        "InstanceType": "t3.large",
        "IamInstanceProfile": {"Arn": profile},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
        "UserData": base64.b64encode(script.encode()).decode(),
    }
    made = ec2.create_launch_template(LaunchTemplateName="real-worker", LaunchTemplateData=data)
    return made["LaunchTemplate"]["LaunchTemplateId"], subnet


def until[T](look: Callable[[], T | None]) -> T:
    """What `look` finds, as soon as it does; the emulator has no event for it."""
    waited = threading.Event()
    for _ in range(int(PATIENCE / 0.1)):
        if found := look():
            return found
        waited.wait(0.1)
    raise AssertionError(f"not within {PATIENCE:.0f} s")


def kill_training(place: Place, instance: str) -> None:
    """Kill what trains on an instance; its worker stays."""
    commands = {pid: Path(f"/proc/{pid}/cmdline") for pid in place.runner.processes(instance)}
    trains = [
        pid
        for pid, file in commands.items()
        if file.exists() and file.read_bytes().split(b"\0")[1:3] == [b"-m", b"training"]
    ]
    assert trains, place.runner.log(instance).read_text()
    for pid in trains:
        os.kill(pid, signal.SIGKILL)


def test_a_training_that_is_killed_goes_on_from_its_checkpoint_on_the_next_attempts_instance(
    place: Place, tmp_path: Path
):
    generate(tmp_path, count=60, seed=5)
    dataset = ingest(tmp_path, place.store("lake"), seed=5).sha256
    inputs = {
        "dataset": dataset,
        "recipe": "two-cores",
        "settings": ["epochs=2", "image_size=32"],
        "seed": 1,
        "gates": {"data": {}, "model": ASKS_NOTHING, "checks": {"photos": 5, "calls": 2}},
    }
    given = {"job": JOB, "purpose": "train", "machine": "training", "max_seconds": 600, "requested_by": ASKER} | {
        "inputs": inputs
    }
    states, workspace = place.client("stepfunctions"), place.store("workspace")
    execution = states.start_execution(stateMachineArn=place.machine, name=JOB, input=json.dumps(given))["executionArn"]

    until(lambda: list(workspace.keys(checkpoints_prefix(JOB))))
    (first,) = place.instances(f"{JOB}.1")
    kill_training(place, first)

    def ended() -> dict[str, Any] | None:
        found = states.describe_execution(executionArn=execution)
        return None if found["status"] == "RUNNING" else found

    end = until(ended)
    assert end["status"] == "SUCCEEDED", (end, place.runner.log(first).read_text())
    output = json.loads(end["output"])
    assert output["result"] == f"jobs/{JOB}/result.json"
    result = find_result(workspace, JOB)
    assert result is not None
    assert (result.outcome in {"published", "refused"}, output["outcome"], output["version"]) == (
        True,
        result.outcome,
        1,
    )
    assert load_spec(workspace, JOB).requested_by == ASKER, "the worker wrote the spec from the order"
    assert Catalog(place.store("models"), "pets").version(1).lineage["run"] == JOB
    assert len(list(workspace.keys(epochs_prefix(JOB)))) == 2
    launches = [key for key in workspace.keys(attempts_of_job_prefix(JOB)) if key.endswith("/launch.json")]
    assert len(launches) == 2
    (second,) = place.instances(f"{JOB}.2")
    for instance in (first, second):
        place.runner.wait_for(instance, "terminated", timeout=60)
    assert '"epoch": 1, ' not in place.runner.log(second).read_text(), "it went on from the checkpoint"
