"""`petpark doctor --account` about certificates, host names and hosted zones."""

from __future__ import annotations

import socket
import string
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petpark.account import certificates
from petpark.account.certificates import covers
from petpark.account.cloud import Account
from petpark.doctor import Check, Health
from tests.petpark.account.conftest import HOST, certificate, examine
from tests.petpark.account.fake_account import ACCOUNT, REGION, FakeAccount, settings


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
