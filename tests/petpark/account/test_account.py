"""`petpark doctor --account`: what it says of an account that has everything, and of each thing that it may lack."""

from __future__ import annotations

import json
import socket
import string
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.session
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from typer.testing import CliRunner

from infra.configuration.instance_types import InstanceTypeUnsupported, instance_type
from infra.configuration.stack_file import SettingsUnusable, read_stack
from petpark import account as checker
from petpark.__main__ import app
from petpark.account import certificates
from petpark.account.certificates import covers
from petpark.account.cloud import Account, permission
from petpark.account.demand import fleets, vcpu_quota
from petpark.doctor import Check, Health
from tests.petpark.account.fake_account import ACCOUNT, REGION, ROOT, FakeAccount, settings

QUOTA_G_SPOT = "quota: All G and VT Spot Instance Requests"
QUOTA_STANDARD = "quota: Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
GOOD: Mapping[str, Any] = {
    "training_instance_types": ["g5.xlarge"],
    "clients": "10.1.0.0/16",
    "alarm_email": "ops@example.org",
}
HOST = {"host_name": "park.example.org"}


@pytest.fixture(scope="module")
def started() -> Iterator[FakeAccount]:
    """One for all tests, because moto takes its time to start."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        fake = FakeAccount()
        for service in ("EC2Spot", "AutoScaling", "ElasticLoadBalancing"):
            fake.client("iam").create_role(RoleName=f"AWSServiceRoleFor{service}", AssumeRolePolicyDocument="{}")
        add_budget(fake, "all", notifies=True)
        yield fake


@pytest.fixture
def aws(started: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> FakeAccount:
    """An account in which both stacks can be deployed at once; every name resolves."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("192.0.2.1", 443))])
    started.reset()
    return started


def add_budget(fake: FakeAccount, name: str, *, notifies: bool) -> None:
    limit = {"Amount": "100", "Unit": "USD"}
    budget = {"BudgetName": name, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
    notification = {
        "Notification": {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80},
        "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "ops@example.org"}],
    }
    added = {"NotificationsWithSubscribers": [notification]} if notifies else {}
    fake.client("budgets").create_budget(AccountId=ACCOUNT, Budget=budget, **added)


def examine(fake: FakeAccount, root: Path, stack: str = "test") -> dict[str, Check]:
    return {check.name: check for check in checker.examine(root, stack, session=fake.session)}


def certificate(fake: FakeAccount, *, days: float, name: str = "park.example.org", region: str = REGION) -> str:
    """A certificate in ACM that ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    acm: Any = boto3.client("acm", region_name=region)
    pem = made.public_bytes(serialization.Encoding.PEM)
    return str(acm.import_certificate(Certificate=pem, PrivateKey=private)["CertificateArn"])


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


def test_a_certificate_that_cannot_be_used_is_found(aws: FakeAccount, tmp_path: Path) -> None:
    acm = aws.client("acm")
    pending = acm.request_certificate(DomainName="park.example.org", ValidationMethod="DNS")["CertificateArn"]
    asked = acm.describe_certificate(CertificateArn=pending)["Certificate"]
    wrong = {
        certificate(aws, days=13): "expires on",
        f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/00000000-0000-0000-0000-000000000000": "does not exist",
    }
    for arn, why in wrong.items():
        check = examine(aws, settings(tmp_path, "prod", tls_certificate=arn, **HOST), "prod")["certificate"]
        assert check.health is Health.MISSING
        assert why in check.found
        assert check.fix
    aws.answers("acm.DescribeCertificate", {"Certificate": {**asked, "Status": "PENDING_VALIDATION"}})
    check = examine(aws, settings(tmp_path, "prod", tls_certificate=pending, **HOST), "prod")["certificate"]
    assert check.health is Health.MISSING
    assert "PENDING_VALIDATION" in check.found
    assert "waits for the DNS record" in check.found


def named(**endpoint: Any) -> Any:
    """Settings of an endpoint with a name, as far as the certificate's checks read them."""
    return SimpleNamespace(
        endpoint=SimpleNamespace(
            **{"kind": "autoscaled", "tls_certificate": None, "dns_zone": None, "host_name": None, **endpoint}
        )
    )


def looked_up(aws: FakeAccount, **endpoint: Any) -> dict[str, Check]:
    found = certificates.check(Account(aws.session, REGION), "prod", named(**endpoint))
    return {check.name: check for check in found}


def test_a_certificate_for_another_name_is_found(aws: FakeAccount) -> None:
    arn = certificate(aws, days=200, name="*.example.org")
    fine = looked_up(aws, tls_certificate=arn, host_name="park.example.org")
    assert {check.health for check in fine.values()} == {Health.FINE}
    other = looked_up(aws, tls_certificate=arn, host_name="park.example.com")["certificate"]
    assert other.health is Health.MISSING
    assert other.found == "is for *.example.org, not for park.example.com"


def test_a_name_that_does_not_resolve_yet_is_no_fault(aws: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    check = looked_up(aws, host_name="park.example.org")["host name"]
    assert check.health is Health.ABSENT
    assert "CNAME" in check.fix


def test_a_hosted_zone_has_to_be_there_to_be_public_and_to_hold_the_name(aws: FakeAccount) -> None:
    route53 = aws.client("route53")
    none = looked_up(aws, host_name="photos.park.example", dns_zone="park.example")["host name"]
    vpc = aws.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    inside = {"VPCRegion": REGION, "VPCId": vpc}
    hidden = {"Comment": "", "PrivateZone": True}
    route53.create_hosted_zone(Name="park.example", CallerReference="1", VPC=inside, HostedZoneConfig=hidden)
    private = looked_up(aws, host_name="photos.park.example", dns_zone="park.example")["host name"]
    route53.create_hosted_zone(Name="park.example", CallerReference="2")
    fine = looked_up(aws, host_name="photos.park.example", dns_zone="park.example.")["host name"]
    assert [one.health for one in (none, private, fine)] == [Health.MISSING, Health.MISSING, Health.FINE]
    assert "aws route53 create-hosted-zone --name park.example" in none.fix


LABEL = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)


@given(LABEL, LABEL, LABEL)
def test_a_wildcard_stands_for_one_label_and_no_more(first: str, second: str, domain: str) -> None:
    assert covers(f"*.{domain}.org", f"{first}.{domain}.org")
    assert not covers(f"*.{domain}.org", f"{second}.{first}.{domain}.org")
    assert not covers(f"*.{domain}.org", f"{domain}.org")
    assert covers(f"{first}.{domain}.org", f"{first}.{domain}.ORG.")
    assert covers(f"{first}.org", f"{second}.org") == (first == second)


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
