"""The ways in which clients call an endpoint: by a name over HTTPS, or by the load balancer's own over HTTP."""

import pytest

from infra.configuration.endpoint_settings import EndpointSettings
from infra.configuration.settings import SettingsInvalid, read
from tests.infra.conftest import configuration, shipped

ARN = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
NAME, ZONE = "photos.park.example", "park.example"


def _read(**changes: str) -> EndpointSettings:
    values = {key.removeprefix("petpark:"): value for key, value in configuration("prod").items()}
    values |= {"host_name": "none", "dns_zone": "none", "allow_keys_over_http": "true"} | changes
    return read(values.get, region="eu-west-1", namespace="petpark").endpoint


@pytest.mark.parametrize(
    ("host", "zone", "certificate"),
    [
        ("none", "none", "none"),
        (NAME, ZONE, "none"),
        (NAME, "none", ARN),
        (NAME, ZONE, ARN),
        (ZONE, ZONE, "none"),
    ],
)
def test_a_name_a_zone_and_a_certificate_go_together(host, zone, certificate):
    settings = _read(host_name=host, dns_zone=zone, tls_certificate=certificate)
    given = (settings.host_name or "none", settings.dns_zone or "none", settings.tls_certificate or "none")
    assert given == (host, zone, certificate)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tls_certificate": ARN}, "tls_certificate is .* host_name as well: no certificate can cover"),
        ({"dns_zone": ZONE}, "dns_zone is .* host_name as well"),
        ({"host_name": NAME}, "host_name is .* dns_zone, in which a certificate is validated, or tls_certificate"),
        ({"host_name": "photos.zoo.example", "dns_zone": ZONE}, "a name in the zone, such as photos.park.example"),
        ({"host_name": "xpark.example", "dns_zone": ZONE}, "a name in the zone"),
        ({"host_name": "x.eu-west-1.elb.amazonaws.com", "tls_certificate": ARN}, "a name of your own"),
        ({"host_name": NAME, "tls_certificate": "mine"}, "the ARN of an ACM certificate in eu-west-1"),
        ({"host_name": NAME, "tls_certificate": ARN.replace("eu-west-1", "us-east-1")}, "ACM certificate in eu-west-1"),
        ({"host_name": f"{'a' * 53}.{ZONE}", "dns_zone": ZONE}, "at most 64 characters"),
        ({"host_name": f"https://{NAME}"}, "host_name is .* a DNS name"),
        ({"host_name": "Photos.park.example"}, "in lower case"),
        ({"host_name": "park"}, "a DNS name"),
        ({"dns_zone": "park.example."}, "dns_zone is .* a DNS name"),
    ],
)
def test_what_does_not_go_together_is_refused_with_a_sentence(changes, told):
    with pytest.raises(SettingsInvalid, match=told):
        _read(**changes)


@pytest.mark.parametrize("key", ["host_name", "dns_zone", "tls_certificate"])
def test_a_single_instance_speaks_no_https(key):
    value = {"host_name": NAME, "dns_zone": ZONE, "tls_certificate": ARN}[key]
    with pytest.raises(SettingsInvalid, match=f"{key} is .* only the load balancer of an autoscaled endpoint speaks"):
        _read(endpoint_kind="instance", **{key: value})


def test_a_long_name_can_have_a_certificate_that_was_made_elsewhere():
    assert _read(host_name=f"{'a' * 53}.{ZONE}", tls_certificate=ARN).host_name


def test_keys_are_not_asked_for_in_the_clear_unless_that_is_allowed_in_so_many_words():
    for kind in ("autoscaled", "instance"):
        with pytest.raises(SettingsInvalid, match=r"api_keys is 'required'.* or allow_keys_over_http: true"):
            _read(endpoint_kind=kind, allow_keys_over_http="false")
        assert _read(endpoint_kind=kind).api_keys == "required"
        assert _read(endpoint_kind=kind, allow_keys_over_http="false", api_keys="open").api_keys == "open"
    assert _read(allow_keys_over_http="false", host_name=NAME, dns_zone=ZONE).api_keys == "required"


def test_the_file_that_we_ship_for_prod_asks_its_owner_for_a_name_and_for_nothing_else():
    with pytest.raises(SettingsInvalid) as refusal:
        read(lambda key: shipped("prod").get(f"petpark:{key}"), region="eu-west-1", namespace="petpark")
    (line,) = (line for line in str(refusal.value).splitlines() if "petpark:" in line)
    assert "host_name with dns_zone or tls_certificate" in line


def test_a_name_in_a_zone_gets_a_certificate_an_address_and_https(deployments):
    prod = deployments["prod"]
    assert prod.named("endpoint-host-certificate").inputs["domainName"] == NAME
    assert prod.named("endpoint-host-certificate").inputs["validationMethod"] == "DNS"
    proof = prod.named("endpoint-host-proof").inputs
    assert (proof["zoneId"], proof["name"], proof["type"]) == ("Z-park.example", f"_proof.{NAME}.", "CNAME")
    assert proof["allowOverwrite"] is True
    address = prod.named("endpoint-host-address").inputs
    assert (address["name"], address["type"], "ttl" in address) == (NAME, "A", False)
    assert address["aliases"][0]["name"] == "endpoint-lb.elb.example"
    assert address["aliases"][0]["zoneId"] == "zone-of-endpoint-lb"
    assert address["aliases"][0]["evaluateTargetHealth"] is False  # Route 53 would have no other record
    listener = prod.named("endpoint-listener").inputs
    assert (listener["port"], listener["protocol"]) == (443, "HTTPS")
    assert listener["sslPolicy"].startswith("ELBSecurityPolicy-TLS13")
    assert prod.named("endpoint-clients").inputs["fromPort"] == 443
    assert prod.outputs["endpoint"]["url"] == f"https://{NAME}"
    assert prod.outputs["endpoint"]["port"] == 443


def test_a_listener_gets_a_certificate_that_is_validated(deployments):
    prod = deployments["prod"]
    assert {"endpoint-host-validated", "endpoint-host-proof"} <= prod.before(prod.named("endpoint-listener"))


def test_a_name_that_is_kept_elsewhere_gets_no_record_and_the_certificate_that_is_named(redeploy):
    secured = redeploy("prod", host_name=NAME, dns_zone="none", tls_certificate=ARN)
    assert secured.named("endpoint-listener").inputs["certificateArn"] == ARN
    assert not [r for r in secured.resources if r.type.startswith(("aws:route53", "aws:acm"))]
    assert secured.outputs["endpoint"]["url"] == f"https://{NAME}"
    assert secured.outputs["endpoint"]["load_balancer_name"] == "endpoint-lb.elb.example"


def test_without_a_name_the_load_balancer_speaks_http_by_its_own(redeploy):
    plain = redeploy("prod", host_name="none", dns_zone="none", allow_keys_over_http="true")
    listener = plain.named("endpoint-listener").inputs
    assert (listener["port"], listener["protocol"], "sslPolicy" in listener) == (80, "HTTP", False)
    assert plain.outputs["endpoint"]["url"] == "http://endpoint-lb.elb.example"
    assert not [r for r in plain.resources if r.type.startswith(("aws:route53", "aws:acm"))]


def test_nothing_answers_in_the_clear_beside_https(deployments):
    prod = deployments["prod"]
    assert [r.name for r in prod.resources if r.type.endswith("lb/listener:Listener")] == ["endpoint-listener"]
    assert all(r.inputs.get("fromPort") != 80 for r in prod.resources)
