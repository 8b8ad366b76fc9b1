"""The order in which AWS needs resources to be created, and an emulator does not.

Destroying goes the other way round: an internet gateway cannot be detached while public addresses are mapped.
"""

import pytest

# (what is created, in which stack, names of what exists before, AWS's reason)
INSTANCES = "https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Internet_Gateway.html"
S3_ENDPOINT = "https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-s3.html"
BALANCER = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html"
TARGETS = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html"
LISTENER = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/https-listener-certificates.html"
ROLES = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html"
ORDER = [
    # Public addresses reach nothing without the gateway, its route and the subnets' association with it.
    ("endpoint-instance", "test", {"network-gateway", "network-internet", "network-routes-2"}, INSTANCES),
    ("endpoint-group", "prod", {"network-internet", "network-routes-2", "network-routes-3"}, INSTANCES),
    # What holds the template's id may launch from it at once.
    ("training-machine-job-template", "test", {"network-internet", "network-routes-2", "network-routes-3"}, INSTANCES),
    # Connections to S3 that are open when the endpoint's route appears are dropped.
    ("endpoint-instance", "test", {"network-s3"}, S3_ENDPOINT),
    ("endpoint-group", "prod", {"network-s3"}, S3_ENDPOINT),
    ("training-machine-job-template", "test", {"network-s3"}, S3_ENDPOINT),
    # An internet-facing load balancer is refused in a VPC without an internet gateway.
    ("endpoint-lb", "prod", {"network-gateway", "network-internet", "network-routes-0", "network-routes-1"}, BALANCER),
    # Targets have no health before a listener forwards to their group, and a group would replace what has none.
    ("endpoint-group", "prod", {"endpoint-listener", "endpoint-to-instances", "endpoint-from-balancer"}, TARGETS),
    # A listener refuses a certificate that was not issued yet.
    ("endpoint-listener", "prod", {"endpoint-host-certificate", "endpoint-host-proof"}, LISTENER),
    # An instance that boots without its rights, its log or a way out ends before it has said why.
    *(
        (name, stack, {f"{machine}-{part}" for part in ("grants", "shell", "way-out", "log", "profile")}, ROLES)
        for name, stack, machine in (
            ("endpoint-instance", "test", "endpoint-machine"),
            ("endpoint-group", "prod", "endpoint-machine"),
            ("training-machine-job-template", "test", "training-machine"),
        )
    ),
    # The code that user data fetches, and the bucket's policy over it.
    ("endpoint-instance", "test", {"code-bundle"}, ROLES),
    ("endpoint-group", "prod", {"code-bundle"}, ROLES),
    ("training-machine-job-template", "test", {"code-bundle"}, ROLES),
]


@pytest.mark.parametrize(("name", "stack", "before", "source"), ORDER)
def test_what_aws_needs_first_is_created_first(deployments, name, stack, before, source):
    deployment = deployments[stack]
    missing = before - deployment.before(deployment.named(name, "aws:"))
    assert not missing, f"{name} does not wait for {sorted(missing)}: {source}"


def test_every_subnet_of_instances_is_reachable_before_an_instance_may_be_in_it(deployments):
    for deployment in deployments.values():
        inside = [r for r in deployment.resources if "subnetId" in r.inputs and r.type.endswith(":Instance")]
        inside += [r for r in deployment.resources if r.type.endswith(":Group") and "autoscaling" in r.type]
        for resource in inside:
            associations = {
                r.inputs["subnetId"]: r.name for r in deployment.resources if r.type.endswith(":RouteTableAssociation")
            }
            subnets = resource.inputs.get("vpcZoneIdentifiers") or [resource.inputs["subnetId"]]
            assert {associations[subnet] for subnet in subnets} <= deployment.before(resource)


def test_the_network_answers_names_as_the_endpoint_of_s3_needs_it(everything):
    """Amazon's DNS servers answer for a gateway endpoint where both attributes are on."""
    networks = [resource.inputs for resource in everything if resource.type.endswith(":Vpc")]
    assert networks
    for network in networks:
        assert network["enableDnsSupport"] is True
        assert network["enableDnsHostnames"] is True
