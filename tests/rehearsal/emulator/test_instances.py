"""EC2 as a rehearsal needs it: instances get all of their template, and their changes are told."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.rehearsal.emulator.conftest import TRUST_EC2

Client = Callable[[str], Any]
Launch = Callable[..., dict[str, Any]]


@pytest.fixture
def profile(client: Client, name: str) -> str:
    """An instance profile with a role."""
    iam = client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_EC2)
    arn: str = iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return arn


@pytest.fixture
def launch(client: Client, name: str) -> Launch:
    """`launch(template data, run arguments…)` launches an instance from a template and describes it."""

    def launch(data: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        data = {"ImageId": "ami-1", "InstanceType": "t3.micro"} | data
        client("ec2").create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        arguments = {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateName": name}} | arguments
        started = client("ec2").run_instances(**arguments)["Instances"][0]["InstanceId"]
        return describe(client, started)

    return launch


def describe(client: Client, instance: str) -> dict[str, Any]:
    described = client("ec2").describe_instances(InstanceIds=[instance])
    found: dict[str, Any] = described["Reservations"][0]["Instances"][0]
    return found


def attribute(client: Client, instance: str, name: str) -> str:
    answer = client("ec2").describe_instance_attribute(InstanceId=instance, Attribute=name)
    value: str = answer[name[0].upper() + name[1:]]["Value"]
    return value


def test_a_launch_template_gives_its_instances_the_profile_it_names(
    client: Client, launch: Launch, profile: str
) -> None:
    assert launch({"IamInstanceProfile": {"Arn": profile}})["IamInstanceProfile"]["Arn"] == profile


def test_every_instance_of_a_run_gets_the_profile_it_names(client: Client, profile: str) -> None:
    run = client("ec2").run_instances(
        ImageId="ami-1", MinCount=2, MaxCount=2, IamInstanceProfile={"Arn": profile}, InstanceType="t3.micro"
    )
    for instance in run["Instances"]:
        assert describe(client, instance["InstanceId"])["IamInstanceProfile"]["Arn"] == profile


def test_a_filter_by_id_finds_that_instance_alone(client: Client) -> None:
    run = client("ec2").run_instances(ImageId="ami-1", MinCount=2, MaxCount=2, InstanceType="t3.micro")
    for instance in run["Instances"]:
        filters = [{"Name": "instance-id", "Values": [instance["InstanceId"]]}]
        (found,) = client("ec2").describe_instances(Filters=filters)["Reservations"]
        assert [one["InstanceId"] for one in found["Instances"]] == [instance["InstanceId"]]


def test_a_profile_that_does_not_exist_is_refused(client: Client, name: str) -> None:
    with pytest.raises(client("ec2").exceptions.ClientError, match="Invalid IAM Instance Profile"):
        client("ec2").run_instances(ImageId="ami-1", MinCount=1, MaxCount=1, IamInstanceProfile={"Name": name})


def test_a_launch_template_gives_its_instances_the_metadata_options_it_names(launch: Launch) -> None:
    options = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "InstanceMetadataTags": "enabled"}
    assert options.items() <= launch({"MetadataOptions": options})["MetadataOptions"].items()


def test_a_launch_template_makes_its_instances_spot_instances(launch: Launch) -> None:
    assert launch({"InstanceMarketOptions": {"MarketType": "spot"}})["InstanceLifecycle"] == "spot"


def test_a_launch_template_says_what_shutting_down_means(client: Client, launch: Launch) -> None:
    instance = launch({"InstanceInitiatedShutdownBehavior": "terminate"})["InstanceId"]
    assert attribute(client, instance, "instanceInitiatedShutdownBehavior") == "terminate"


def test_a_launch_template_names_its_instances_subnet(client: Client, launch: Launch) -> None:
    subnet = client("ec2").describe_subnets()["Subnets"][1]["SubnetId"]
    assert launch({"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet}]})["SubnetId"] == subnet


def test_an_instance_has_its_templates_tags_and_its_own(launch: Launch, name: str) -> None:
    def tags(key: str, value: str) -> list[dict[str, Any]]:
        return [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value}]}]

    instance = launch({"TagSpecifications": tags("stack", "test")}, TagSpecifications=tags("petpark:job", name))
    found = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert {"stack": "test", "petpark:job": name}.items() <= found.items()


def test_a_launch_templates_own_tags_are_no_part_of_its_data_and_can_change(client: Client, name: str) -> None:
    ec2 = client("ec2")
    template = ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={"ImageId": "ami-1"},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "a", "Value": "1"}]}],
    )["LaunchTemplate"]["LaunchTemplateId"]
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"]
    assert not version["LaunchTemplateData"].get("TagSpecifications")
    ec2.create_tags(Resources=[template], Tags=[{"Key": "a", "Value": "2"}])
    (described,) = ec2.describe_launch_templates(LaunchTemplateIds=[template])["LaunchTemplates"]
    assert described["Tags"] == [{"Key": "a", "Value": "2"}]


def test_a_group_starts_the_template_version_it_names(client: Client, name: str, profile: str) -> None:
    ec2 = client("ec2")
    text = base64.b64encode(b"#!/bin/sh\nexit 0\n").decode()
    first = {"ImageId": "ami-1", "InstanceType": "t3.micro"}
    second = first | {"UserData": text, "IamInstanceProfile": {"Arn": profile}}
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=first)
    ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData=second)
    client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=1,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateName": name, "Version": "2"},
        AvailabilityZones=[ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]],
    )
    group = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    instance = describe(client, group["Instances"][0]["InstanceId"])
    assert instance["IamInstanceProfile"]["Arn"] == profile
    assert attribute(client, instance["InstanceId"], "userData") == text


@pytest.fixture
def changes(client: Client, name: str) -> Iterator[Callable[[str], str]]:
    """`changes(instance)` waits for that instance's next change of state, and returns the state."""
    sqs, events = client("sqs"), client("events")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"]}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])

    def next_state(instance: str) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages", []):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                detail = json.loads(message["Body"])["detail"]
                if detail["instance-id"] == instance:
                    return str(detail["state"])
        raise AssertionError(f"no event about {instance}")

    yield next_state
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)


def test_every_change_of_an_instance_is_an_event(client: Client, changes: Callable[[str], str]) -> None:
    ec2 = client("ec2")
    run = ec2.run_instances(ImageId="ami-1", InstanceType="t3.micro", MinCount=1, MaxCount=1)
    instance = run["Instances"][0]["InstanceId"]
    assert changes(instance) == "running"
    ec2.stop_instances(InstanceIds=[instance])
    assert changes(instance) == "stopped"
    ec2.start_instances(InstanceIds=[instance])
    assert changes(instance) == "running"
    ec2.terminate_instances(InstanceIds=[instance])
    ec2.terminate_instances(InstanceIds=[instance])
    assert changes(instance) == "terminated"
