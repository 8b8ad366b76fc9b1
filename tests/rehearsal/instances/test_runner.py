"""The runner against the real emulator."""

import json
import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.emulator import Emulator
from rehearsal.instances import CommandFailed, InstanceEvent, InstanceRunner, StateNotReached, UnknownInstance

pytestmark = pytest.mark.rehearsal

TIMEOUT_SECONDS = 60.0
RUNAWAY = "(setsid /bin/sh -c \"trap '' TERM; echo runaway; exec sleep 1000\" &)"
ASK = """
imds=$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' $imds/api/token)
ask() { curl -sf -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/$1"; }
"""

Launch = Callable[..., str]
Events = Callable[[str, str], InstanceEvent]


@pytest.fixture(scope="module")
def heard() -> "queue.Queue[InstanceEvent]":
    return queue.Queue()


@pytest.fixture(scope="module")
def runner(
    emulator: Emulator, tmp_path_factory: pytest.TempPathFactory, heard: "queue.Queue[InstanceEvent]"
) -> Iterator[InstanceRunner]:
    directory = tmp_path_factory.mktemp("rehearsal")
    options: dict[str, Any] = {"python": Path(sys.executable), "on_event": heard.put, "grace_seconds": 0.5}
    with InstanceRunner(emulator, directory, **options) as running:
        yield running
    assert not any(running.processes(instance_id) for instance_id in running.states())


@pytest.fixture
def next_event(heard: "queue.Queue[InstanceEvent]") -> Events:
    def wait(instance_id: str, kind: str) -> InstanceEvent:
        while True:
            event = heard.get(timeout=TIMEOUT_SECONDS)
            if (event.instance_id, event.kind) == (instance_id, kind):
                return event

    return wait


@pytest.fixture
def launch(emulator: Emulator, runner: InstanceRunner) -> Iterator[Launch]:
    """Launches an instance, waits until it is up, and terminates it after the test."""
    ec2 = emulator.client("ec2")
    launched: list[str] = []

    def start(user_data: str, **options: Any) -> str:
        options = {"InstanceInitiatedShutdownBehavior": "terminate", "ImageId": "ami-12345678"} | options
        options |= {"MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"}}
        answer = ec2.run_instances(MinCount=1, MaxCount=1, UserData=f"#!/bin/bash\n{user_data}\n", **options)
        launched.append(answer["Instances"][0]["InstanceId"])
        runner.wait_for(launched[-1], "running", TIMEOUT_SECONDS)
        return launched[-1]

    yield start
    if launched:
        ec2.terminate_instances(InstanceIds=launched)
    for instance_id in launched:
        runner.wait_for(instance_id, "terminated", TIMEOUT_SECONDS)


def state(emulator: Emulator, instance_id: str) -> str:
    described = emulator.client("ec2").describe_instances(InstanceIds=[instance_id])
    return described["Reservations"][0]["Instances"][0]["State"]["Name"]


def wait_for_console(runner: InstanceRunner, instance_id: str, text: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (runner.log(instance_id).exists() and text in runner.log(instance_id).read_text()):
        assert time.monotonic() < deadline, f"no {text!r} in the console"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def park_profile(emulator: Emulator) -> str:
    """A profile whose role may write below one prefix of one bucket."""
    iam, s3 = emulator.client("iam"), emulator.client("s3")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    may = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::park-of-the-runner/open/*"}
    s3.create_bucket(Bucket="park-of-the-runner", CreateBucketConfiguration={"LocationConstraint": emulator.region})
    document = {"Version": "2012-10-17", "Statement": [trust]}
    iam.create_role(RoleName="runner-park", AssumeRolePolicyDocument=json.dumps(document))
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_role_policy(RoleName="runner-park", PolicyName="write", PolicyDocument=policy)
    iam.create_instance_profile(InstanceProfileName="runner-park")
    iam.add_role_to_instance_profile(InstanceProfileName="runner-park", RoleName="runner-park")
    return "runner-park"


def test_an_instance_runs_its_user_data_as_its_role_and_ends_itself(
    emulator: Emulator, runner: InstanceRunner, launch: Launch, park_profile: str
) -> None:
    tag = {"ResourceType": "instance", "Tags": [{"Key": "petpark:job", "Value": "job-1"}]}
    instance_id = launch(
        f"""trap 'shutdown -h now' EXIT
{ASK}
echo "job $(ask tags/instance/petpark:job) on $(ask instance-id) in $(ask placement/region)"
cd; echo photo > photo
aws s3 cp --only-show-errors photo s3://park-of-the-runner/open/photo && echo allowed
aws s3 cp --only-show-errors photo s3://park-of-the-runner/closed/photo || echo denied""",
        IamInstanceProfile={"Name": park_profile},
        TagSpecifications=[tag],
    )
    runner.wait_for(instance_id, "terminated", TIMEOUT_SECONDS)

    console = runner.log(instance_id).read_text()
    assert f"job job-1 on {instance_id} in {emulator.region}" in console
    assert "allowed" in console
    assert "AccessDenied" in console
    assert "denied" in console
    assert state(emulator, instance_id) == "terminated"


def test_terminating_an_instance_ends_every_process_of_it(
    emulator: Emulator, runner: InstanceRunner, launch: Launch, next_event: Events
) -> None:
    instance_id = launch(f"{RUNAWAY}\nsleep 1000")
    wait_for_console(runner, instance_id, "runaway")
    pids = runner.processes(instance_id)
    assert len(pids) >= 4

    emulator.client("ec2").terminate_instances(InstanceIds=[instance_id])
    assert next_event(instance_id, "shutting-down").detail["why"] == "asked"
    runner.wait_for(instance_id, "terminated", TIMEOUT_SECONDS)
    assert runner.processes(instance_id) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_an_instance_whose_processes_are_killed_is_terminated(
    emulator: Emulator, runner: InstanceRunner, launch: Launch
) -> None:
    instance_id = launch("echo up; sleep 1000")
    wait_for_console(runner, instance_id, "up")
    for pid in runner.processes(instance_id):
        os.kill(pid, signal.SIGKILL)
    runner.wait_for(instance_id, "terminated", TIMEOUT_SECONDS)
    assert state(emulator, instance_id) == "terminated"


def test_a_stopped_instance_starts_again_without_its_user_data_and_where_it_was(
    emulator: Emulator, runner: InstanceRunner, launch: Launch
) -> None:
    instance_id = launch("echo booted > $HOME/file; shutdown -h now", InstanceInitiatedShutdownBehavior="stop")
    runner.wait_for(instance_id, "stopped", TIMEOUT_SECONDS)
    assert state(emulator, instance_id) == "stopped"
    before = runner.address(instance_id)

    emulator.client("ec2").start_instances(InstanceIds=[instance_id])
    runner.wait_for(instance_id, "running", TIMEOUT_SECONDS)
    assert runner.address(instance_id) == before
    assert len(runner.processes(instance_id)) == 1
    assert (runner.log(instance_id).parent / "home" / "file").exists()


def test_a_spot_interruption_gives_notice_and_then_terminates(
    emulator: Emulator, runner: InstanceRunner, launch: Launch, next_event: Events
) -> None:
    instance_id = launch(
        f'{ASK}\necho ready\nuntil notice="$(ask spot/instance-action)"; do sleep 0.1; done; echo "$notice"\nsleep 1000'
    )
    wait_for_console(runner, instance_id, "ready")
    runner.interrupt(instance_id, notice_seconds=3)
    noticed = next_event(instance_id, "notice")
    ended = next_event(instance_id, "shutting-down")
    assert (ended.at - noticed.at).total_seconds() >= 3
    runner.wait_for(instance_id, "terminated", TIMEOUT_SECONDS)
    assert '"action": "terminate"' in runner.log(instance_id).read_text()
    assert state(emulator, instance_id) == "terminated"


def test_an_instance_that_a_group_puts_in_anothers_place_comes_up_by_itself(
    emulator: Emulator, runner: InstanceRunner, next_event: Events
) -> None:
    ec2, autoscaling = emulator.client("ec2"), emulator.client("autoscaling")
    data = {"ImageId": "ami-12345678", "InstanceType": "t3.micro", "UserData": "IyEvYmluL3NoCnNsZWVwIDEwMDAK"}
    ec2.create_launch_template(LaunchTemplateName="runner-group", LaunchTemplateData=data)
    zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="runner-group",
        MinSize=1,
        MaxSize=1,
        AvailabilityZones=[zone],
        LaunchTemplate={"LaunchTemplateName": "runner-group"},
    )

    def member() -> str:
        groups = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=["runner-group"])["AutoScalingGroups"]
        return str(groups[0]["Instances"][0]["InstanceId"])

    first = member()
    runner.wait_for(first, "running", TIMEOUT_SECONDS)
    ec2.terminate_instances(InstanceIds=[first])
    second = member()
    assert second != first
    runner.wait_for(second, "running", TIMEOUT_SECONDS)
    runner.wait_for(first, "terminated", TIMEOUT_SECONDS)
    autoscaling.delete_auto_scaling_group(AutoScalingGroupName="runner-group", ForceDelete=True)
    runner.wait_for(second, "terminated", TIMEOUT_SECONDS)


def test_a_runner_that_starts_later_finds_what_runs_and_leaves_it_running_in_the_emulator(
    emulator: Emulator, launch: Launch, runner: InstanceRunner, tmp_path: Path
) -> None:
    instance_id = launch("sleep 1000")
    with InstanceRunner(emulator, tmp_path, python=Path(sys.executable), grace_seconds=0.2) as later:
        later.wait_for(instance_id, "running", TIMEOUT_SECONDS)
        assert later.address(instance_id) != runner.address(instance_id)
    assert later.processes(instance_id) == []
    assert state(emulator, instance_id) == "running"


def test_an_administrator_runs_commands_on_an_instance(runner: InstanceRunner, launch: Launch) -> None:
    instance_id = launch("echo ready; sleep 1000")
    wait_for_console(runner, instance_id, "ready")
    said = runner.execute(instance_id, ["sh", "-c", "echo $PETPARK_HOST"], timeout=TIMEOUT_SECONDS)
    assert said.strip() == runner.address(instance_id)
    runner.execute(instance_id, ["systemd-run", "--unit=guest", "sleep", "1000"], timeout=TIMEOUT_SECONDS)
    assert "active" in runner.execute(instance_id, ["systemctl", "is-active", "guest"], timeout=TIMEOUT_SECONDS)
    with pytest.raises(CommandFailed, match=r"systemctl status nobody on .* failed: Unit nobody.service could not be"):
        runner.execute(instance_id, ["systemctl", "status", "nobody"], timeout=TIMEOUT_SECONDS)
    with pytest.raises(CommandFailed, match=r"sleep 1000 on .* timed out"):
        runner.execute(instance_id, ["sleep", "1000"], timeout=0.1)


def test_what_a_runner_does_not_know_it_says(runner: InstanceRunner) -> None:
    with pytest.raises(UnknownInstance, match="i-none has no machine here"):
        runner.address("i-none")
    with pytest.raises(StateNotReached, match="was not running within 0 s"):
        runner.wait_for("i-none", "running", 0.05)
