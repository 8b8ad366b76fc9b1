"""The certificate of an endpoint, and the name that it is for."""

import socket
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from petpark.account.cloud import Account, Unchecked
from petpark.doctor import Check, Health
from registry.clock import utc_now

if TYPE_CHECKING:
    from infra.configuration.settings import StackSettings

LEAST_LEFT = timedelta(days=14)
"""ACM renews its certificates 60 days before expiry: one with fewer days left is not being renewed.
https://docs.aws.amazon.com/acm/latest/userguide/managed-renewal.html"""


def covers(name: str, host: str) -> bool:
    """Whether a certificate's `name` covers `host`; a wildcard stands for one label.

    https://www.rfc-editor.org/rfc/rfc6125#section-6.4.3
    """
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    if not name.startswith("*."):
        return name == host
    label, _, rest = host.partition(".")
    return bool(label) and rest == name[2:]


def check(account: Account, stack: str, settings: "StackSettings") -> Sequence[Check]:
    """The certificate that the stack names, and its host name. Nothing where neither is named."""
    endpoint = settings.endpoint
    arn = endpoint.tls_certificate
    host, zone = endpoint.host_name, endpoint.dns_zone
    found: list[Check] = []
    if arn is not None:
        found.append(_guarded("certificate", lambda: _certificate(account, stack, arn, host)))
    if host is not None and zone is not None:
        found.append(_guarded("host name", lambda: _zone(account, zone, host)))
    elif host is not None:
        found.append(_resolves(host))
    if arn is None and host is None and endpoint.kind == "autoscaled":
        sentence = "none: the endpoint answers plain HTTP, API keys included"
        fix = f"pulumi config set petpark:host_name NAME --stack {stack}"
        found.append(Check(name="certificate", health=Health.ABSENT, found=sentence, fix=fix))
    return found


def _certificate(account: Account, stack: str, arn: str, host: str | None) -> Check:
    """https://docs.aws.amazon.com/acm/latest/APIReference/API_DescribeCertificate.html."""
    choose = f"pulumi config set petpark:tls_certificate ARN --stack {stack}"

    def wrong(found: str, fix: str = choose) -> Check:
        return Check(name="certificate", health=Health.MISSING, found=found, fix=fix)

    absent = ("ResourceNotFoundException", "InvalidArnException", "ValidationException")
    answer = account.call("acm", "describe_certificate", absent=absent, CertificateArn=arn)
    if answer is None:
        return wrong(f"{arn} does not exist")
    found = answer["Certificate"]
    if found["Status"] != "ISSUED":
        return wrong(_pending(found), f"aws acm describe-certificate --certificate-arn {arn} --region {account.region}")
    names = [found["DomainName"], *found.get("SubjectAlternativeNames", ())]
    if host is not None and not any(covers(name, host) for name in names):
        return wrong(f"is for {', '.join(dict.fromkeys(names))}, not for {host}")
    ends = found.get("NotAfter")
    if ends is not None and ends < utc_now() + LEAST_LEFT:
        return wrong(f"expires on {ends:%Y-%m-%d}", "renew it, or import a new one: aws acm import-certificate")
    until = "" if ends is None else f", until {ends:%Y-%m-%d}"
    return Check(name="certificate", health=Health.FINE, found=f"issued for {found['DomainName']}{until}")


def _pending(found: Any) -> str:
    sentence = f"its status is {found['Status']}, not ISSUED"
    records = [option.get("ResourceRecord") for option in found.get("DomainValidationOptions", ())]
    wanted = [f"{record['Name']} {record['Type']} {record['Value']}" for record in records if record]
    return f"{sentence}; it waits for the DNS record {wanted[0]}" if wanted else sentence


def _zone(account: Account, zone: str, host: str) -> Check:
    """https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListHostedZonesByName.html."""
    zone = zone.rstrip(".")
    answer = account.call("route53", "list_hosted_zones_by_name", DNSName=zone, MaxItems="10")
    public = [
        one
        for one in answer["HostedZones"]
        if one["Name"].rstrip(".") == zone and not one.get("Config", {}).get("PrivateZone")
    ]
    if not public:
        create = f"aws route53 create-hosted-zone --name {zone} --caller-reference petpark"
        fix = f"{create}, then delegate {zone} to its name servers"
        return Check(name="host name", health=Health.MISSING, found=f"there is no public hosted zone {zone}", fix=fix)
    return Check(name="host name", health=Health.FINE, found=f"{host} in the hosted zone of {zone}")


def _resolves(host: str) -> Check:
    """A name outside of Route 53 can only get its CNAME once there is a load balancer."""
    try:
        addresses = socket.getaddrinfo(host, 443, proto=socket.IPPROTO_TCP)
    except OSError as error:
        found = f"{host} does not resolve yet ({error})"
        fix = "after the first up, create a CNAME from it to the output endpoint.load_balancer_name"
        return Check(name="host name", health=Health.ABSENT, found=found, fix=fix)
    return Check(name="host name", health=Health.FINE, found=f"{host} resolves to {addresses[0][4][0]}")


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Unchecked as error:
        return error.as_check(name)
