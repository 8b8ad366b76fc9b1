"""What load balancing, scaling, budgets, parameters, queues and images must do as AWS does."""

from collections.abc import Callable
from typing import Any

import pytest

from rehearsal.emulator import Emulator
from tests.rehearsal.emulator.conftest import ACCOUNT

Client = Callable[[str], Any]


@pytest.fixture
def group(client: Client, name: str) -> str:
    """An Auto Scaling group of two, registered with a target group of the same name."""
    ec2 = client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    template = ec2.create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={"ImageId": "ami-1", "InstanceType": "t3.micro"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    targets = client("elbv2").create_target_group(Name=name, Protocol="HTTP", Port=8080, VpcId=subnet["VpcId"])
    client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=4,
        DesiredCapacity=2,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
        VPCZoneIdentifier=subnet["SubnetId"],
        TargetGroupARNs=[targets["TargetGroups"][0]["TargetGroupArn"]],
    )
    return name


def members(client: Client, group: str) -> set[str]:
    described = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    return {i["InstanceId"] for i in described["AutoScalingGroups"][0]["Instances"]}


def targets(client: Client, group: str) -> set[str]:
    arn = client("elbv2").describe_target_groups(Names=[group])["TargetGroups"][0]["TargetGroupArn"]
    health = client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return {h["Target"]["Id"] for h in health}


def test_target_health_follows_the_groups_members(client: Client, group: str) -> None:
    before = members(client, group)
    assert targets(client, group) == before
    client("ec2").terminate_instances(InstanceIds=[min(before)])
    after = members(client, group)
    assert len(after) == 2
    assert min(before) not in after
    assert targets(client, group) == after
    client("autoscaling").set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    assert targets(client, group) == set()


def test_an_instance_refresh_replaces_every_member(client: Client, group: str) -> None:
    before = members(client, group)
    started = client("autoscaling").start_instance_refresh(AutoScalingGroupName=group)["InstanceRefreshId"]
    (refresh,) = client("autoscaling").describe_instance_refreshes(AutoScalingGroupName=group)["InstanceRefreshes"]
    assert (refresh["InstanceRefreshId"], refresh["Status"]) == (started, "Successful")
    assert len(members(client, group)) == 2
    assert not members(client, group) & before


def test_an_update_keeps_the_mixed_instances_policy_it_does_not_name(client: Client, name: str, group: str) -> None:
    subnet = client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    policy = {"LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateName": group, "Version": "1"}}}
    mixed = f"{name}-mixed"
    client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=mixed, MinSize=0, MaxSize=1, VPCZoneIdentifier=subnet, MixedInstancesPolicy=policy
    )
    client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=mixed, MaxSize=2)
    described = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[mixed])
    assert described["AutoScalingGroups"][0]["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]


def test_a_scaling_policy_answers_its_arn_and_is_enabled(client: Client, group: str) -> None:
    answer = client("autoscaling").put_scaling_policy(
        AutoScalingGroupName=group,
        PolicyName=group,
        PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration={
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
            "TargetValue": 50.0,
        },
    )
    assert f":policyName/{group}" in answer["PolicyARN"]
    (policy,) = client("autoscaling").describe_policies(AutoScalingGroupName=group)["ScalingPolicies"]
    assert policy["Enabled"] is True
    assert "PredictiveScalingConfiguration" not in policy


def test_a_budget_reads_back_its_tags_and_subscribers_and_can_be_changed(client: Client, name: str) -> None:
    budgets = client("budgets")
    notification = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    subscriber = {"SubscriptionType": "EMAIL", "Address": "ops@example.org"}
    budget = {
        "BudgetName": name,
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": "10", "Unit": "USD"},
    }
    budgets.create_budget(
        AccountId=ACCOUNT,
        Budget=budget,
        NotificationsWithSubscribers=[{"Notification": notification, "Subscribers": [subscriber]}],
        ResourceTags=[{"Key": "a", "Value": "b"}],
    )
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/{name}"
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "a", "Value": "b"}]
    told = budgets.describe_subscribers_for_notification(AccountId=ACCOUNT, BudgetName=name, Notification=notification)
    assert told["Subscribers"] == [subscriber]
    changed = budget | {"BudgetLimit": {"Amount": "20", "Unit": "USD"}}
    budgets.update_budget(AccountId=ACCOUNT, NewBudget=changed)
    read = budgets.describe_budget(AccountId=ACCOUNT, BudgetName=name)["Budget"]
    assert read["BudgetLimit"]["Amount"] == "20"


def test_a_table_of_the_data_catalog_reads_back_its_parameters_and_partition_keys(client: Client, name: str) -> None:
    glue = client("glue")
    glue.create_database(DatabaseInput={"Name": name}, Tags={"a": "b"})
    table = {
        "Name": "predictions",
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"projection.enabled": "true"},
        "PartitionKeys": [{"Name": "camera", "Type": "string"}],
        "StorageDescriptor": {"Location": "s3://lake/telemetry/", "Columns": [{"Name": "id", "Type": "string"}]},
    }
    glue.create_table(DatabaseName=name, TableInput=table)
    read = glue.get_table(DatabaseName=name, Name="predictions")["Table"]
    assert {key: read[key] for key in ("Parameters", "PartitionKeys")} == {
        key: table[key] for key in ("Parameters", "PartitionKeys")
    }
    arn = f"arn:aws:glue:{glue.meta.region_name}:{ACCOUNT}:database/{name}"
    assert glue.get_tags(ResourceArn=arn)["Tags"] == {"a": "b"}
    glue.delete_table(DatabaseName=name, Name="predictions")
    glue.delete_database(Name=name)


def test_a_queues_redrive_policy_reads_back_compact(client: Client, name: str) -> None:
    sqs = client("sqs")
    dead = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 3}}'
    url = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]
    read = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    assert read == policy.replace(" ", "")


def test_queue_urls_lead_to_the_emulator_itself(client: Client, emulator: Emulator, name: str) -> None:
    assert client("sqs").create_queue(QueueName=name)["QueueUrl"] == f"{emulator.url}/{ACCOUNT}/{name}"


@pytest.mark.parametrize(
    "parameter",
    [
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
        "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id",
    ],
    ids=["amazon-linux", "deep-learning"],
)
def test_a_public_parameter_names_an_image_that_instances_and_templates_take(
    client: Client, name: str, parameter: str
) -> None:
    image = client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    assert client("ec2").describe_images(ImageIds=[image])["Images"][0]["Architecture"] == "x86_64"
    client("ec2").create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"ImageId": image})
    run = client("ec2").run_instances(
        LaunchTemplate={"LaunchTemplateName": name}, InstanceType="t3.micro", MinCount=1, MaxCount=1
    )
    assert run["Instances"][0]["ImageId"] == image
