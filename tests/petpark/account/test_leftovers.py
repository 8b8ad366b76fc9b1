"""`petpark doctor --account --leftovers`: what it finds in an account, and when it says that nothing is left."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from petpark.__main__ import app
from petpark.account import leftovers
from petpark.account.cloud import permission
from petpark.doctor import Check, Health
from tests.petpark.account.fake_account import REGION, FakeAccount, settings

# moto imports a service's module at its first call. These import each other, and the command asks from several threads:
# Python ends such a deadlock of imports with an error.
for service in ("ec2", "elb", "elbv2", "autoscaling", "resourcegroupstaggingapi", "stepfunctions", "scheduler", "glue"):
    importlib.import_module(f"moto.{service}")

TAGS = [{"Key": "petpark:project", "Value": "petpark"}, {"Key": "petpark:stack", "Value": "test"}]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return settings(tmp_path_factory.mktemp("root"), "test")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAccount]:
    """An account without petpark, and with a bucket, a key, a role and a log group of others."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        fake = FakeAccount()
        make_bucket(fake, "of-others")
        fake.client("kms").create_key()
        fake.client("iam").create_role(RoleName="of-others", AssumeRolePolicyDocument="{}")
        fake.client("logs").create_log_group(logGroupName="/petparking/lot")
        others = fake.client("stepfunctions").create_state_machine(name="of-others", definition=_PASSES, roleArn=_ROLE)
        make_schedule(fake, "pipeline-of-others", others["stateMachineArn"])
        fake.client("glue").create_database(DatabaseInput={"Name": "petparking"})
        yield fake


def make_bucket(fake: FakeAccount, name: str) -> None:
    where = {"LocationConstraint": REGION}
    fake.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)


def examine(fake: FakeAccount, root: Path) -> list[Check]:
    return list(leftovers.examine(root, "test", session=fake.session))[1:]


def test_an_account_without_petpark_is_said_to_be_empty(aws: FakeAccount, root: Path) -> None:
    (check,) = examine(aws, root)
    assert (check.name, check.health) == ("leftovers", Health.FINE)
    assert f"no resources of petpark are left in account 123456789012, {REGION}" in check.found


_PASSES = json.dumps({"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}})
_ROLE = "arn:aws:iam::123456789012:role/trainer"


def make_schedule(fake: FakeAccount, name: str, target: str) -> None:
    fake.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression="rate(15 minutes)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": target, "RoleArn": _ROLE},
    )


def leave_everything(fake: FakeAccount) -> dict[str, str]:
    """Make one of each kind; returns its name by kind."""
    make_bucket(fake, "lake")
    fake.client("s3").put_bucket_tagging(Bucket="lake", Tagging={"TagSet": TAGS})
    tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in TAGS]
    key = fake.client("kms").create_key(Tags=tags)["KeyMetadata"]["KeyId"]
    fake.client("iam").create_role(RoleName="trainer", AssumeRolePolicyDocument="{}", Tags=TAGS)
    fake.client("iam").create_instance_profile(InstanceProfileName="trainer", Tags=TAGS)
    fake.client("logs").create_log_group(logGroupName="/petpark/test/endpoint")
    fake.client("ssm").put_parameter(Name="/petpark/test/api-keys/gate", Value="x", Type="String")
    ec2: Any = fake.client("ec2")
    specification = [{"ResourceType": "instance", "Tags": TAGS}]
    made = ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, TagSpecifications=specification)
    network = ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": TAGS}])
    states: Any = fake.client("stepfunctions")
    lower = [{"key": tag["Key"], "value": tag["Value"]} for tag in TAGS]
    machine = states.create_state_machine(name="pipeline-job-0a1b2c3", definition=_PASSES, roleArn=_ROLE, tags=lower)[
        "stateMachineArn"
    ]
    make_schedule(fake, "pipeline-look-0a1b2c3", machine)
    fake.client("glue").create_database(DatabaseInput={"Name": "petpark_test"})
    return {
        "state machine": "pipeline-job-0a1b2c3",
        "schedule": "pipeline-look-0a1b2c3",
        "Glue database": "petpark_test",
        "bucket": "lake",
        "key": key,
        "role": "trainer",
        "instance profile": "trainer",
        "log group": "/petpark/test/endpoint",
        "API key": "/petpark/test/api-keys/gate",
        "instance": made["Instances"][0]["InstanceId"],
        "ec2": "vpc/" + network["Vpc"]["VpcId"],
    }


def test_everything_that_is_left_is_named_with_what_ends_it(aws: FakeAccount, root: Path) -> None:
    left = leave_everything(aws)
    found = examine(aws, root)
    assert {check.name: check.found for check in found} == {
        kind: name if kind == "schedule" else f"{name} (stack test)" for kind, name in left.items()
    }
    assert {check.health for check in found} == {Health.MISSING}
    ends = {check.name: check.fix for check in found}
    assert ends["bucket"] == "pulumi destroy --stack test"
    assert ends["API key"].startswith("aws ssm delete-parameter --name /petpark/test/api-keys/gate")


def test_what_goes_by_itself_is_no_leftover(aws: FakeAccount, root: Path) -> None:
    left = leave_everything(aws)
    aws.client("kms").schedule_key_deletion(KeyId=left["key"], PendingWindowInDays=7)
    aws.client("ec2").terminate_instances(InstanceIds=[left["instance"]])
    found = {check.name: check for check in examine(aws, root)}
    assert "instance" not in found
    assert found["key"].health is Health.ABSENT
    assert "costs nothing until then" in found["key"].found


def test_where_a_service_cannot_be_asked_nobody_claims_that_nothing_is_left(aws: FakeAccount, root: Path) -> None:
    examine(aws, root)
    asked = aws.called - {"sts.GetCallerIdentity", "s3.GetBucketTagging", "kms.ListResourceTags", "kms.DescribeKey"}
    asked -= {"stepfunctions.ListTagsForResource"}
    assert len(asked) == 14
    for operation in asked:
        aws.reset()
        aws.refuses(operation, "AccessDenied")
        found = examine(aws, root)
        assert [check.health for check in found] == [Health.UNCHECKED], operation
        assert "needs " in found[0].found


def test_a_bucket_that_hides_its_tags_hides_no_other(aws: FakeAccount, root: Path) -> None:
    leave_everything(aws)
    shown = aws.client("s3").get_bucket_tagging(Bucket="lake")["TagSet"]
    aws.hides("s3.GetBucketTagging", "lake")
    make_bucket(aws, "zoo")
    aws.client("s3").put_bucket_tagging(Bucket="zoo", Tagging={"TagSet": shown})
    found = {check.name: check for check in examine(aws, root)}
    assert found["bucket"].found == "zoo (stack test)"
    assert "needs s3:GetBucketTagging on lake" in found["buckets"].found
    assert "leftovers" not in found


def test_a_key_is_found_by_who_may_not_read_tags(aws: FakeAccount, root: Path) -> None:
    aws.client("kms").create_key(Description="Signs petpark's certificates")
    aws.refuses("kms.ListResourceTags", "AccessDeniedException")
    assert [check.name for check in examine(aws, root)] == ["key"]


def test_the_command_ends_with_1_while_something_is_left(
    aws: FakeAccount, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    (root / "Pulumi.yaml").touch()
    monkeypatch.setattr(boto3, "Session", lambda: aws.session)
    words = ["doctor", "--account", "--leftovers", "--json"]
    assert CliRunner().invoke(app, words).exit_code == 0
    aws.client("ssm").put_parameter(Name="/petpark/test/api-keys/gate", Value="x", Type="String")
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 1
    assert [check["name"] for check in json.loads(said.stdout)["checks"]] == ["credentials", "API key"]


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("s3", "ListBuckets", "s3:ListAllMyBuckets"),
        ("elbv2", "DescribeTags", "elasticloadbalancing:DescribeTags"),
        ("resourcegroupstaggingapi", "GetResources", "tag:GetResources"),
        ("service-quotas", "GetAWSDefaultServiceQuota", "servicequotas:GetAWSDefaultServiceQuota"),
    ],
)
def test_a_permission_is_called_what_iam_calls_it(service: str, operation: str, action: str) -> None:
    assert permission(service, operation) == action
