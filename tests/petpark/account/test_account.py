"""`petpark doctor --account`: what it says of an account that has everything, and of each thing that it may lack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from typer.testing import CliRunner

from infra.configuration.instance_types import InstanceTypeUnsupported, instance_type
from infra.configuration.stack_file import SettingsUnusable, read_stack
from petpark.__main__ import app
from petpark.account.cloud import permission
from petpark.account.demand import fleets, vcpu_quota
from petpark.doctor import Health
from tests.petpark.account.conftest import HOST, certificate, examine
from tests.petpark.account.fake_account import ACCOUNT, REGION, ROOT, FakeAccount, settings

QUOTA_G_SPOT = "quota: All G and VT Spot Instance Requests"
QUOTA_STANDARD = "quota: Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
GOOD: Mapping[str, Any] = {
    "training_instance_types": ["g5.xlarge"],
    "clients": "10.1.0.0/16",
    "alarm_email": "ops@example.org",
}


@pytest.mark.parametrize("stack", ["test", "prod"])
def test_an_account_with_everything_is_fine(aws: FakeAccount, tmp_path: Path, stack: str) -> None:
    extra = {"tls_certificate": certificate(aws, days=200), **HOST} if stack == "prod" else {}
    found = examine(aws, settings(tmp_path, stack, **GOOD, **extra), stack)
    assert [check for check in found.values() if check.health is not Health.FINE] == []
    assert (QUOTA_G_SPOT in found) == (stack == "test"), "training is the platform's"
    assert ("certificate" in found) == (stack == "prod")


def test_a_gpu_quota_of_zero_comes_with_the_command_that_asks_for_enough(aws: FakeAccount, tmp_path: Path) -> None:
    aws.quotas["L-3819A6DF"] = 0
    check = examine(aws, settings(tmp_path, "test", training_instances=3))[QUOTA_G_SPOT]
    assert check.health is Health.MISSING
    assert check.found == "0 vCPUs; needed 12 (3 g5.xlarge or g6.xlarge for training)"
    assert check.fix == (
        "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-3819A6DF "
        "--desired-value 12 --region eu-west-1"
    )


def test_training_on_demand_counts_against_the_other_quota(aws: FakeAccount, tmp_path: Path) -> None:
    aws.quotas["L-DB2E81BA"] = 3
    found = examine(aws, settings(tmp_path, "test", training_spot=False))
    assert QUOTA_G_SPOT not in found
    assert found["quota: Running On-Demand G and VT instances"].health is Health.MISSING


@pytest.mark.parametrize(("limit", "health"), [(7, Health.MISSING), (8, Health.ABSENT), (16, Health.FINE)])
def test_a_group_needs_its_most_and_as_many_again_while_it_is_renewed(
    aws: FakeAccount, tmp_path: Path, limit: float, health: Health
) -> None:
    aws.quotas["L-1216C47A"] = limit
    check = examine(aws, settings(tmp_path, "prod"), "prod")[QUOTA_STANDARD]
    assert check.health is health
    assert ("--desired-value 16" in check.fix) == (health is not Health.FINE)


def test_what_others_use_counts_and_what_the_stack_itself_uses_does_not(aws: FakeAccount, tmp_path: Path) -> None:
    machines = [
        {"InstanceType": type_, "Tags": [{"Key": "petpark:stack", "Value": stack}]}
        for type_, stack in (("m7i.xlarge", "other"), ("c7i.large", "test"), ("g5.xlarge", "other"))
    ]
    aws.answers("ec2.DescribeInstances", {"Reservations": [{"Instances": machines}]})
    aws.quotas["L-1216C47A"] = 5
    check = examine(aws, settings(tmp_path, "test"))[QUOTA_STANDARD]
    assert check.health is Health.MISSING
    assert check.found == "5 vCPUs; needed 2 (1 c7i.large for endpoint), 4 more in use"


def test_a_region_full_of_networks_is_found(aws: FakeAccount, tmp_path: Path) -> None:
    aws.quotas["L-F678F1CE"] = 1  # the default network takes it
    check = examine(aws, settings(tmp_path, "test"))["quota: VPCs per Region"]
    assert check.health is Health.MISSING
    assert "--quota-code L-F678F1CE --desired-value 2" in check.fix


def test_without_a_quota_of_its_own_an_account_has_the_default(aws: FakeAccount, tmp_path: Path) -> None:
    del aws.quotas["L-3819A6DF"]
    aws.answers("service-quotas.GetAWSDefaultServiceQuota", {"Quota": {"Value": 2.0}})
    assert examine(aws, settings(tmp_path, "test"))[QUOTA_G_SPOT].found.startswith("2 vCPUs")


SPOT = "service-linked role: AWSServiceRoleForEC2Spot"


@pytest.mark.parametrize(("may", "health"), [(True, Health.ABSENT), (False, Health.MISSING)])
def test_a_service_linked_role_that_is_not_there_is_made_by_who_may(
    aws: FakeAccount, tmp_path: Path, may: bool, health: Health
) -> None:
    aws.refuses("iam.GetRole", "NoSuchEntity")
    aws.may_link = may
    check = examine(aws, settings(tmp_path, "test"))[SPOT]
    assert check.health is health
    assert check.fix.endswith("aws iam create-service-linked-role --aws-service-name spot.amazonaws.com")


def test_whether_a_role_would_be_made_is_unknown_to_who_may_not_simulate(aws: FakeAccount, tmp_path: Path) -> None:
    aws.refuses("iam.GetRole", "NoSuchEntity")
    aws.refuses("iam.SimulatePrincipalPolicy", "AccessDenied")
    check = examine(aws, settings(tmp_path, "test"))[SPOT]
    assert check.health is Health.UNCHECKED
    assert check.found == "could not be checked: needs iam:SimulatePrincipalPolicy"
    assert "create-service-linked-role" in check.fix


def test_each_stack_needs_the_roles_of_its_own_parts(aws: FakeAccount, tmp_path: Path) -> None:
    linked = {
        stack: {
            name.rpartition("For")[2] for name in examine(aws, settings(tmp_path, stack), stack) if "linked" in name
        }
        for stack in ("test", "prod")
    }
    assert linked == {"test": {"EC2Spot"}, "prod": {"AutoScaling", "ElasticLoadBalancing"}}


def offered(**zones: str) -> dict[str, Any]:
    """What `DescribeInstanceTypeOfferings` answers: letters of zones by type."""
    return {
        "InstanceTypeOfferings": [
            {"InstanceType": type_.replace("_", "."), "LocationType": "availability-zone", "Location": REGION + letter}
            for type_, letters in zones.items()
            for letter in letters
        ]
    }


@pytest.mark.parametrize(
    ("zones", "health", "fix"),
    [
        (offered(g5_xlarge="bc", c7i_large="abc"), Health.ABSENT, "petpark:zones eu-west-1b,eu-west-1c --stack test"),
        (offered(g5_xlarge="c", c7i_large="abc"), Health.MISSING, "another type"),
        (offered(c7i_large="ab"), Health.MISSING, "describe-instance-type-offerings"),
    ],
)
def test_a_type_that_a_zone_does_not_offer_comes_with_zones_that_do(
    aws: FakeAccount, tmp_path: Path, zones: dict[str, Any], health: Health, fix: str
) -> None:
    aws.answers("ec2.DescribeInstanceTypeOfferings", zones)
    check = examine(aws, settings(tmp_path, "test", **GOOD))["instance type: g5.xlarge"]
    assert check.health is health
    assert fix in check.fix


def test_a_type_that_others_can_stand_in_for_may_be_missing(aws: FakeAccount, tmp_path: Path) -> None:
    aws.answers("ec2.DescribeInstanceTypeOfferings", offered(g6_xlarge="c", c7i_large="abc"))
    found = examine(aws, settings(tmp_path, "test"))
    assert found["instance type: g5.xlarge"].health is Health.ABSENT
    assert found["instance type: g6.xlarge"].health is Health.ABSENT


def test_the_only_instance_of_an_endpoint_needs_its_type_in_the_first_zone(aws: FakeAccount, tmp_path: Path) -> None:
    aws.answers("ec2.DescribeInstanceTypeOfferings", offered(g5_xlarge="abc", c7i_large="bc"))
    assert examine(aws, settings(tmp_path, "test"))["instance type: c7i.large"].health is Health.MISSING


def test_a_machine_image_that_the_region_does_not_have_is_found(aws: FakeAccount, tmp_path: Path) -> None:
    lacking = instance_type("g5.xlarge").image_parameter
    del aws.parameters[lacking]
    found = examine(aws, settings(tmp_path, "test"))
    wrong = [check for name, check in found.items() if "machine image" in name and check.health is Health.MISSING]
    assert [lacking in check.fix for check in wrong] == [True]


def test_an_account_without_a_budget_that_tells_anybody_gets_the_command_for_one(
    aws: FakeAccount, tmp_path: Path
) -> None:
    aws.answers("budgets.DescribeBudgets", {"Budgets": []})
    none = examine(aws, settings(tmp_path, "test"))["budget"]
    aws.reset()
    aws.answers("budgets.DescribeNotificationsForBudget", {"Notifications": []})
    silent = examine(aws, tmp_path)["budget"]
    assert (none.health, none.found) == (Health.ABSENT, "there is none")
    assert (silent.health, silent.found) == (Health.ABSENT, "no notifications from all")
    assert f"--account-id {ACCOUNT}" in none.fix


def test_settings_as_shipped_are_said_to_reach_nobody(aws: FakeAccount, tmp_path: Path) -> None:
    found = examine(aws, settings(tmp_path, "test"))
    assert {found[name].health for name in ("clients", "alarm e-mail")} == {Health.ABSENT}
    assert "documentation" in found["clients"].found
    everybody = examine(aws, settings(tmp_path, "test", clients="0.0.0.0/0"))["clients"]
    assert "anybody may use the endpoint" in everybody.found


def test_what_may_not_be_read_or_does_not_answer_neither_passes_nor_fails(aws: FakeAccount, tmp_path: Path) -> None:
    arn = certificate(aws, days=100)
    root = settings(tmp_path, "test", endpoint_kind="autoscaled", tls_certificate=arn, **HOST, **GOOD)

    def everything_is_asked() -> None:
        aws.reset()
        aws.quotas.clear()
        aws.answers("service-quotas.GetAWSDefaultServiceQuota", {"Quota": {"Value": 64.0}})
        aws.refuses("iam.GetRole", "NoSuchEntity")

    everything_is_asked()
    assert not [check for check in examine(aws, root).values() if check.health in (Health.MISSING, Health.UNCHECKED)]
    operations = sorted(aws.called - {"sts.GetCallerIdentity"})
    assert len(operations) == 13
    for operation in operations:
        service, _, name = operation.partition(".")
        needed = permission(service, name)
        for fault in (aws.refuses, aws.is_silent):
            everything_is_asked()
            fault(operation)
            found = examine(aws, root).values()
            unchecked = [check for check in found if check.health is Health.UNCHECKED]
            assert unchecked, operation
            assert not [check for check in found if check.health is Health.MISSING], operation
            assert all((f"needs {needed}" in check.found) == (fault == aws.refuses) for check in unchecked), operation


def test_without_credentials_nothing_else_is_asked(tmp_path: Path, aws: FakeAccount) -> None:
    aws.refuses("sts.GetCallerIdentity", "InvalidClientTokenId")
    found = examine(aws, settings(tmp_path, "test"))
    assert list(found) == ["credentials"]
    assert found["credentials"].health is Health.MISSING
    assert "aws configure" in found["credentials"].fix
    assert aws.called == {"sts.GetCallerIdentity"}


@pytest.mark.parametrize(
    ("changes", "said"), [({"clients": "everywhere"}, "petpark:clients"), (None, "does not exist")]
)
def test_settings_that_cannot_be_used_are_one_line(
    tmp_path: Path, aws: FakeAccount, changes: Mapping[str, Any] | None, said: str
) -> None:
    if changes is not None:
        settings(tmp_path, "test", **changes)
    (check,) = examine(aws, tmp_path).values()
    assert (check.name, check.health) == ("settings", Health.MISSING)
    assert said in check.found
    assert not aws.called


def test_the_command_ends_with_1_where_something_is_missing(
    aws: FakeAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(settings(tmp_path, "test"))
    (tmp_path / "Pulumi.yaml").touch()
    monkeypatch.setattr(boto3, "Session", lambda: aws.session)
    aws.quotas["L-3819A6DF"] = 0
    said = CliRunner().invoke(app, ["doctor", "--account", "--json"])
    assert said.exit_code == 1, said.output
    facts = json.loads(said.stdout)
    assert {check["name"] for check in facts["checks"] if check["health"] == "missing"} == {QUOTA_G_SPOT}
    aws.quotas["L-3819A6DF"] = 4
    assert CliRunner().invoke(app, ["doctor", "--account"]).exit_code == 0


@pytest.mark.parametrize("words", [["--account", "--target", "rehearsal"], ["--leftovers"]])
def test_the_options_that_make_no_sense_are_refused(words: list[str]) -> None:
    assert CliRunner().invoke(app, ["doctor", *words]).exit_code == 2


def test_every_type_that_the_program_takes_counts_against_a_quota() -> None:
    shape: Any = botocore.session.get_session().get_service_model("ec2").shape_for("InstanceType")
    known: list[str] = shape.enum
    uncounted: set[str] = set()
    taken = 0
    for name in known:
        try:
            instance_type(name)
        except InstanceTypeUnsupported:
            continue
        taken += 1
        if vcpu_quota(name, spot=False) is None:
            uncounted.add(name.partition(".")[0])
    assert taken > 1000
    # Large memory, high-performance computing and macOS have quotas of their own.
    assert {family for family in uncounted if not family.startswith(("x", "u-", "u7", "hpc", "mac"))} == set()


def test_what_a_stack_asks_for_grows_with_its_settings(tmp_path: Path) -> None:
    shipped = read_stack(ROOT, "test")
    alone, four = (fleets(replace(shipped, training=replace(shipped.training, instances=number))) for number in (1, 4))
    assert (alone[0].instances, four[0].instances) == (1, 4)
    assert alone[1:] == four[1:]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"config:",
        b"config: [1]",
        b"config: park",
        b"config: {a: \xff}",
        b"config: {a: 1, a: 2}",
        b"config: " + b"[" * 1500,
        b"config: {petpark:alarm_email: 2026-01-01}",
        b"config: {petpark:accounts: !!set {a, b}}",
        b"config: {petpark:alarm_email: !!binary aGVsbG8=}",
        b"config: !!python/object:os.system x",
    ],
    ids=lambda text: str(text[:30]),
)
def test_a_file_that_holds_no_settings_is_told_in_a_sentence(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "Pulumi.test.yaml").write_bytes(text)
    with pytest.raises(SettingsUnusable, match=r"holds no settings|cannot be used"):
        read_stack(tmp_path, "test")
