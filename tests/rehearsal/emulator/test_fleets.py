"""EC2 Fleet as a pipeline needs it: whole instances, from the pool of the highest priority."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.rehearsal.emulator.conftest import trust

Client = Callable[[str], Any]


@pytest.fixture
def network(client: Client) -> tuple[list[str], str]:
    """Subnets in two zones, and a security group."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    zones = ("eu-west-1a", "eu-west-1b")
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.77.{number}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for number, zone in enumerate(zones)
    ]
    return subnets, ec2.create_security_group(GroupName="jobs", Description="jobs", VpcId=vpc)["GroupId"]


@pytest.fixture
def template(client: Client, name: str, network: tuple[list[str], str]) -> str:
    iam = client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(Service="ec2.amazonaws.com"))
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    made = client("ec2").create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={
            "ImageId": "ami-1",
            "InstanceType": "t3.large",
            "IamInstanceProfile": {"Name": name},
            "SecurityGroupIds": [network[1]],
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
            "UserData": "IyEvYmluL3NoCg==",
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "petpark:component", "Value": "x"}]}],
        },
    )
    identifier: str = made["LaunchTemplate"]["LaunchTemplateId"]
    return identifier


@pytest.mark.parametrize("market", ["spot", "on-demand"])
def test_a_fleets_instances_are_as_whole_as_others(
    client: Client, template: str, network: tuple[list[str], str], name: str, market: str
) -> None:
    (first, second), group = network
    pools = [("c7i.xlarge", first, 1.0), ("t3.large", second, 0.0)]
    answer = client("ec2").create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[
            {
                "LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "$Latest"},
                "Overrides": [
                    {"InstanceType": type_, "SubnetId": subnet, "Priority": priority}
                    for type_, subnet, priority in pools
                ],
            }
        ],
        TargetCapacitySpecification={"TotalTargetCapacity": 2, "DefaultTargetCapacityType": market},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "petpark:job", "Value": "j"}]}],
    )
    ids = [each for made in answer["Instances"] for each in made["InstanceIds"]]
    assert len(ids) == 2
    assert {made["Lifecycle"] for made in answer["Instances"]} == {market}
    found = client("ec2").describe_instances(InstanceIds=ids)["Reservations"]
    for instance in (each for reservation in found for each in reservation["Instances"]):
        assert (instance["InstanceType"], instance["SubnetId"]) == ("t3.large", second)
        assert instance.get("InstanceLifecycle", "on-demand") == market
        assert instance["IamInstanceProfile"]["Arn"].endswith(f"/{name}")
        assert [each["GroupId"] for each in instance["SecurityGroups"]] == [group]
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
        tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        assert (tags["petpark:job"], tags["petpark:component"]) == ("j", "x")
    client("ec2").terminate_instances(InstanceIds=ids)
