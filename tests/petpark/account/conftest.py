"""An emulated account, as `petpark doctor --account` reads it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto import mock_aws

from petpark import account as checker
from petpark.doctor import Check
from tests.petpark.account.fake_account import ACCOUNT, REGION, FakeAccount

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
