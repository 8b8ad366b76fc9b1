"""Who launches instances: the state machine `job`, from its templates, for a job; publishers only end them."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from infra import policies
from rehearsal.emulator import Emulator
from tests.rehearsal.emulator.conftest import ACCOUNT, TRUST_ACCOUNT, TRUST_EC2, refusal, session_client

pytestmark = pytest.mark.rehearsal

TAGS = [{"Key": "petpark:job", "Value": "j"}, {"Key": "petpark:attempt", "Value": "j.1"}]
JOB = {"ResourceType": "instance", "Tags": TAGS}
PLACES = policies.ResourceNames(
    model="pets", model_store="store", data_lake="lake", workspace="work", encryption_key="e", signing_key="s"
)


@dataclass(frozen=True, kw_only=True)
class Field:
    """A network, two firewalls, two templates that start instances in one of two roles; one may be used."""

    ec2: Any
    """As the state machine `job`."""
    publisher: Any
    administrator: Any
    template: str
    other_template: str
    subnet: str
    other_subnet: str
    other_firewall: str
    other_profile: str

    def refused(self, **request: Any) -> str:
        """Code with which the state machine is refused what this request asks for; empty if it is not."""
        usual = {
            "LaunchTemplate": {"LaunchTemplateId": self.template, "Version": "$Latest"},
            "SubnetId": self.subnet,
            "MinCount": 1,
            "MaxCount": 1,
            "TagSpecifications": [JOB],
        }
        asked = {key: value for key, value in (usual | request).items() if value is not None}
        return refusal(self.ec2.run_instances, **asked)


@pytest.fixture(scope="module")
def field(emulator: Emulator) -> Field:
    mark = uuid.uuid4().hex[:6]
    ec2, iam = emulator.client("ec2"), emulator.client("iam")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24")["Subnet"] for n in (1, 2)]
    firewalls = [
        ec2.create_security_group(VpcId=vpc, GroupName=f"{name}-{mark}", Description="d")["GroupId"]
        for name in ("ours", "other")
    ]
    profiles = [make_profile(iam, f"{name}-{mark}") for name in ("training", "other")]
    templates = [
        ec2.create_launch_template(
            LaunchTemplateName=f"{name}-{mark}",
            LaunchTemplateData={
                "ImageId": "ami-12345678",
                "InstanceType": "t3.micro",
                "SecurityGroupIds": firewalls[:1],
                "IamInstanceProfile": {"Arn": profiles[0]["Arn"]},
            },
        )["LaunchTemplate"]["LaunchTemplateId"]
        for name in ("ours", "other")
    ]
    launcher = policies.run_jobs(
        places=PLACES,
        templates=[f"arn:aws:ec2:{emulator.region}:{ACCOUNT}:launch-template/{templates[0]}"],
        subnets=[subnets[0]["SubnetArn"]],
        roles=[iam.get_role(RoleName=f"training-{mark}")["Role"]["Arn"]],
    )
    publisher = policies.watch_jobs(log_group=f"arn:aws:logs:{emulator.region}:{ACCOUNT}:log-group:training-{mark}")

    def acting(name: str, granted: policies.Document) -> Any:
        role = iam.create_role(RoleName=f"{name}-{mark}", AssumeRolePolicyDocument=TRUST_ACCOUNT)["Role"]["Arn"]
        iam.put_role_policy(RoleName=f"{name}-{mark}", PolicyName="p", PolicyDocument=policies.as_json(granted))
        taken = emulator.client("sts").assume_role(RoleArn=role, RoleSessionName="ana")["Credentials"]
        return session_client(emulator, "ec2", taken)

    return Field(
        ec2=acting("job", launcher),
        publisher=acting("publisher", publisher),
        administrator=ec2,
        template=templates[0],
        other_template=templates[1],
        subnet=subnets[0]["SubnetId"],
        other_subnet=subnets[1]["SubnetId"],
        other_firewall=firewalls[1],
        other_profile=profiles[1]["Arn"],
    )


def make_profile(iam: Any, name: str) -> Any:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST_EC2)
    made = iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return made


@pytest.mark.parametrize("who", ["ec2", "publisher"])
def test_instances_of_any_type_and_market_are_launched_and_what_runs_a_job_is_ended(field: Field, who: str) -> None:
    spot = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
    assert field.refused(InstanceType="t3.large", InstanceMarketOptions=spot) == ""
    client = getattr(field, who)
    ours = [{"Name": "tag:petpark:job", "Values": ["j"]}, {"Name": "subnet-id", "Values": [field.subnet]}]
    found = client.describe_instances(Filters=ours)["Reservations"]
    assert found
    for instance in [machine["InstanceId"] for entry in found for machine in entry["Instances"]]:
        assert refusal(client.terminate_instances, InstanceIds=[instance]) == ""


CHANGES: list[tuple[str, Callable[[Field], dict[str, Any]]]] = [
    ("another template", lambda field: {"LaunchTemplate": {"LaunchTemplateId": field.other_template}}),
    ("no template", lambda _field: {"LaunchTemplate": None, "ImageId": "ami-12345678"}),
    ("another image", lambda _field: {"ImageId": "ami-87654321"}),
    ("another subnet", lambda field: {"SubnetId": field.other_subnet}),
    ("another firewall", lambda field: {"SecurityGroupIds": [field.other_firewall]}),
    ("another role", lambda field: {"IamInstanceProfile": {"Arn": field.other_profile}}),
    ("no job", lambda _field: {"TagSpecifications": None}),
]


@pytest.mark.parametrize(("change"), [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
def test_nothing_else_is_launched(field: Field, change: Callable[[Field], dict[str, Any]]) -> None:
    assert field.refused(**change(field)) == "UnauthorizedOperation"


def test_a_publisher_launches_nothing_and_neither_ends_nor_tags_what_runs_no_job(field: Field) -> None:
    template = {"LaunchTemplateId": field.template, "Version": "$Latest"}
    asked = {"LaunchTemplate": template, "SubnetId": field.subnet, "TagSpecifications": [JOB]}
    assert refusal(field.publisher.run_instances, MinCount=1, MaxCount=1, **asked) == "UnauthorizedOperation"
    made = field.administrator.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)["Instances"][0]
    named = {"InstanceIds": [made["InstanceId"]]}
    for client in (field.ec2, field.publisher):
        assert refusal(client.terminate_instances, **named) == "UnauthorizedOperation"
        tagged = refusal(client.create_tags, Resources=named["InstanceIds"], Tags=TAGS)
        assert tagged == "UnauthorizedOperation"
