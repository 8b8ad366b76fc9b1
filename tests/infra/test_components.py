"""Rules that hold for all components and all resources of both stacks."""

import base64
import inspect
import json
import re
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

import pulumi_aws
import pytest

from infra.component import Component
from infra.configuration.endpoint_settings import HEALTH_PORT
from infra.policies.deploying import roles as deploying_roles


def _accepts_tags(type_: str) -> bool:
    """Ask the SDK: a list of types here would soon be out of date."""
    _, module, name = type_.split(":")
    made = getattr(getattr(pulumi_aws, module.split("/")[0]), name)
    return "tags" in inspect.signature(made._internal_init).parameters


def test_every_component_has_the_type_token_of_its_class(everything, apart):
    known = {f"petpark:infra:{made.type_name or made.__name__}" for made in _components()}
    made = (*everything, *apart["prod"].resources)
    used = {resource.type for resource in made if resource.type.startswith("petpark:")}
    # Parts of another program, infra/delivery; other tests may have imported them.
    known -= {f"petpark:infra:{made.type_name or made.__name__}" for made in _components() if _of_delivery(made)}
    assert used == known - {"petpark:infra:Component", "petpark:infra:EndpointKind"}


def _of_delivery(made: type[Component]) -> bool:
    return made.__module__.startswith("infra.delivery")


def _components() -> set[type[Component]]:
    def below(made: type[Component]) -> set[type[Component]]:
        return {made}.union(*(below(child) for child in made.__subclasses__()))

    return below(Component)


def test_every_resource_belongs_to_a_component_and_carries_its_name(everything):
    strays = [
        (resource.parent, resource.name)
        for resource in everything
        if resource.type.startswith("aws:")
        and not (resource.parent and resource.name.startswith(f"{resource.parent}-"))
    ]
    assert strays == []


def test_components_inside_components_carry_their_parents_name(everything):
    strays = [
        (resource.parent, resource.name)
        for resource in everything
        if resource.type.startswith("petpark:") and resource.parent and not resource.name.startswith(resource.parent)
    ]
    assert strays == []


def test_a_component_belongs_to_the_one_whose_name_it_begins_with(everything):
    names = {resource.name for resource in everything if resource.type.startswith("petpark:")}
    for resource in everything:
        if resource.type.startswith("petpark:"):
            around = [name for name in names if resource.name.startswith(f"{name}-")]
            assert resource.parent == max(around, key=len, default=""), resource.name


def test_every_name_is_in_lower_case_and_says_what_the_resource_is(everything):
    assert [r.name for r in everything if not re.fullmatch(r"[a-z][a-z0-9.-]*", r.name)] == []


def test_everything_that_can_be_tagged_says_project_stack_and_component(deployments):
    for stack, deployment in deployments.items():
        for resource in deployment.resources:
            if not resource.type.startswith("aws:") or not _accepts_tags(resource.type):
                continue
            tags = _tags(resource.inputs)
            assert tags.get("petpark:project") == "petpark", resource.name
            assert tags.get("petpark:stack") == stack, resource.name
            assert resource.name.startswith(tags.get("petpark:component", "?")), resource.name


def _tags(inputs: Mapping[str, Any]) -> Mapping[str, str]:
    tags = inputs.get("tags") or {}
    return tags if isinstance(tags, Mapping) else {tag["key"]: tag["value"] for tag in tags}


def test_instances_and_their_disks_are_tagged_by_the_template(everything):
    templates = [resource for resource in everything if resource.type.endswith(":LaunchTemplate")]
    assert templates
    for template in templates:
        kinds = {entry["resourceType"]: entry["tags"] for entry in template.inputs["tagSpecifications"]}
        assert set(kinds) == {"instance", "volume"}
        assert all(tags["petpark:project"] == "petpark" for tags in kinds.values())


def test_tags_can_be_read_through_instance_metadata(everything):
    """EC2 refuses to launch where metadata tags are on and a key has a space or a slash."""
    for resource in everything:
        assert not [key for key in _tags(resource.inputs) if " " in key or "/" in key], resource.name


def test_no_bucket_is_public(everything):
    buckets = _of_buckets(everything, ":Bucket")
    closed = _of_buckets(everything, ":BucketPublicAccessBlock")
    assert buckets
    assert len(closed) == len(buckets)
    for inputs in closed.values():
        flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        assert all(inputs[flag] is True for flag in flags)


@pytest.mark.parametrize(
    "companion",
    [":BucketServerSideEncryptionConfiguration", ":BucketVersioning", ":BucketLifecycleConfiguration", ":BucketPolicy"],
)
def test_every_bucket_is_encrypted_versioned_cleaned_and_guarded(everything, companion):
    assert len(_of_buckets(everything, companion)) == len(_of_buckets(everything, ":Bucket"))


def _of_buckets(everything, suffix: str) -> dict[str, Mapping[str, Any]]:
    """Inputs of all resources of one type, by the bucket that they are about."""
    return {
        resource.inputs.get("bucket") or f"{resource.name}-0a1b2c3": resource.inputs
        for resource in everything
        if resource.type.endswith(suffix)
    }


def test_every_bucket_refuses_plain_http_and_ends_broken_uploads(everything):
    for inputs in _of_buckets(everything, ":BucketPolicy").values():
        assert "aws:SecureTransport" in inputs["policy"]
    for inputs in _of_buckets(everything, ":BucketLifecycleConfiguration").values():
        assert any("abortIncompleteMultipartUpload" in rule for rule in inputs["rules"])


def test_instances_ask_for_metadata_tokens_and_have_encrypted_disks(everything):
    machines = [
        r for r in everything if r.type in {"aws:ec2/instance:Instance", "aws:ec2/launchTemplate:LaunchTemplate"}
    ]
    assert len(machines) == 4
    for machine in machines:
        assert machine.inputs["metadataOptions"]["httpTokens"] == "required"
        assert machine.inputs["metadataOptions"]["httpPutResponseHopLimit"] == 1
        disks = [machine.inputs.get("rootBlockDevice") or machine.inputs["blockDeviceMappings"][0]["ebs"]]
        assert all(str(disk["encrypted"]).lower() == "true" and disk["volumeType"] == "gp3" for disk in disks)


def test_only_clients_get_in_and_training_instances_let_nobody_in(deployments):
    for deployment in deployments.values():
        rules = [r for r in deployment.resources if r.type.endswith(":SecurityGroupIngressRule")]
        assert {rule.parent for rule in rules} == {"endpoint"}
        open_to = {rule.inputs["cidrIpv4"] for rule in rules if "cidrIpv4" in rule.inputs}
        assert open_to == {"203.0.113.0/24"}
    assert not [r for r in deployments["test"].resources if r.inputs.get("ingress")]


def test_training_instances_let_in_each_other_where_several_may_train_together(redeploy):
    opened = redeploy("test", training_instances="4").named("training-together")
    firewall = opened.inputs["securityGroupId"]
    assert opened.inputs["referencedSecurityGroupId"] == firewall
    assert not {"cidrIpv4", "cidrIpv6", "prefixListId"} & set(opened.inputs)
    assert (opened.inputs["ipProtocol"], opened.inputs["fromPort"]) == ("tcp", 1024)


def test_instances_reach_every_address_over_every_protocol(everything):
    """Instances need TCP for AWS and UDP for DNS and NTP; "-1" stands for all protocols and all ports.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
    """
    ways = [r.inputs for r in everything if r.type.endswith(":SecurityGroupEgressRule") and "cidrIpv4" in r.inputs]
    assert len(ways) == 4
    assert {(way["ipProtocol"], way["cidrIpv4"]) for way in ways} == {("-1", "0.0.0.0/0")}


def test_grpc_is_let_in_where_an_instance_answers_it(redeploy):
    opened = redeploy("test", grpc_port="8081")
    assert opened.named("endpoint-grpc-clients").inputs["fromPort"] == 8081
    assert opened.named("endpoint-grpc-clients").inputs["cidrIpv4"] == "203.0.113.0/24"
    assert "export PETPARK_GRPC_PORT=8081" in opened.named("endpoint-instance").inputs["userData"]


def test_each_endpoint_is_told_where_its_own_keys_are_and_may_read_them(deployments):
    for stack, asks in (("test", "open"), ("prod", "required")):
        deployment = deployments[stack]
        policy = deployment.named("endpoint-machine-grants").inputs["policy"]
        assert f"/api_keys/{stack}/*" in policy
        assert deployment.outputs["endpoint"]["api_keys"] == asks
    script = deployments["test"].named("endpoint-instance").inputs["userData"]
    assert "export PETPARK_API_KEYS=open" in script
    assert "export PETPARK_API_KEYS_PREFIX=api_keys/test/" in script


def test_physical_names_are_left_to_pulumi_except_where_people_type_them(everything):
    fixed = {
        resource.type.split(":")[-1]
        for resource in everything
        if resource.type.startswith("aws:") and resource.inputs.get("name")
    }
    assert fixed == {"LogGroup", "Alias", "Record", "CatalogDatabase", "CatalogTable"}


def test_a_training_instance_ends_with_its_job(deployments):
    template = deployments["test"].named("training-machine-job-template").inputs
    assert template["instanceInitiatedShutdownBehavior"] == "terminate"
    assert template["metadataOptions"]["instanceMetadataTags"] == "enabled"
    script = base64.b64decode(template["userData"]).decode()
    assert (
        script.index("shutdown -h +720") < script.index("$(fact ") < script.index("aws s3 cp --only-show-errors s3://")
    )


def test_zone_and_market_are_left_to_the_state_machine_that_launches(deployments):
    """A template that says spot cannot be launched on demand, and one with a network interface in no other subnet."""
    template = deployments["test"].named("training-machine-job-template").inputs
    assert not {"instanceMarketOptions", "networkInterfaces", "placement"} & set(template)
    assert template["instanceType"] == "g5.xlarge"


def test_gpu_instances_start_from_the_gpu_image_and_others_from_the_plain_one(deployments):
    images = {
        "training-machine-job-template": "base-oss-nvidia-driver-gpu-amazon-linux-2023",
        "endpoint-instance": "al2023-ami-kernel-default-x86_64",
    }
    for name, image in images.items():
        inputs = deployments["test"].named(name).inputs
        assert image in (inputs.get("imageId") or inputs["ami"])


def test_each_stack_uploads_its_own_copy_of_the_code(deployments):
    keys = {name: d.named("code-bundle").inputs["key"] for name, d in deployments.items()}
    sha256 = deployments["test"].outputs["code_bundle"]
    assert keys == {"test": f"code/test/{sha256}.zip", "prod": f"code/prod/{sha256}.zip"}


def test_an_autoscaled_endpoint_keeps_what_is_in_service_and_lets_requests_finish(deployments):
    targets = deployments["prod"].named("endpoint-targets").inputs
    # Not `ready`: before the first version nothing is, and the group would replace its instances forever.
    assert targets["healthCheck"]["path"] == "/healthz/in-service"
    assert targets["deregistrationDelay"] == 30
    group = deployments["prod"].named("endpoint-group").inputs
    assert group["healthCheckType"] == "ELB"
    assert group["launchTemplate"]["version"] == "1"


def test_an_instance_refresh_starts_new_instances_before_it_ends_old_ones(deployments):
    refresh = deployments["prod"].named("endpoint-group").inputs["instanceRefresh"]
    assert refresh["strategy"] == "Rolling"
    assert refresh["preferences"] == {"minHealthyPercentage": 100, "maxHealthyPercentage": 200}


def test_a_group_waits_for_the_installation_before_it_replaces_an_instance(deployments):
    """An instance installs its environment first: with a shorter grace period the group replaces it forever."""
    assert deployments["prod"].named("endpoint-group").inputs["healthCheckGracePeriod"] == 600


def test_https_takes_nothing_older_than_tls_1_2_and_only_ciphers_with_forward_secrecy(deployments):
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"""
    listener = deployments["prod"].named("endpoint-listener").inputs
    assert (listener["protocol"], listener["port"]) == ("HTTPS", 443)
    assert listener["sslPolicy"] in {
        "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
        "ELBSecurityPolicy-TLS13-1-3-2021-06",
    }


def test_a_load_balancer_drops_headers_that_are_not_valid(deployments):
    """https://docs.aws.amazon.com/securityhub/latest/userguide/elb-controls.html#elb-4"""
    assert deployments["prod"].named("endpoint-lb").inputs["dropInvalidHeaderFields"] is True


def test_a_load_balancer_asks_for_health_on_a_port_that_callers_cannot_use_up(deployments):
    prod = deployments["prod"]
    script = prod.named("endpoint-machine-template").inputs["userData"]
    if not script.startswith("#!"):
        script = base64.b64decode(script).decode()
    assert f"PETPARK_HEALTH_PORT={HEALTH_PORT}" in script
    assert "PETPARK_BEHIND_LOAD_BALANCER=true" in script
    assert prod.named("endpoint-targets").inputs["healthCheck"]["port"] == str(HEALTH_PORT)
    for side in ("to-instances", "from-balancer"):
        ways = [prod.named(f"endpoint-{prefix}{side}").inputs for prefix in ("", "health-")]
        assert [way["fromPort"] for way in ways] == [8080, HEALTH_PORT]
        assert all("referencedSecurityGroupId" in way and "cidrIpv4" not in way for way in ways)


def test_what_a_caller_says_about_the_way_is_not_believed_where_callers_connect_directly(deployments):
    script = deployments["test"].named("endpoint-instance").inputs["userData"]
    assert "PETPARK_BEHIND_LOAD_BALANCER=false" in script
    assert "PETPARK_HEALTH_PORT=0" in script


def test_a_mail_address_is_subscribed_to_the_alarms(redeploy):
    changed = redeploy("test", alarm_email="park@example.test")
    assert changed.named("monitoring-email").inputs["endpoint"] == "park@example.test"


def test_nothing_deprecated_is_used(deployments):
    assert {name: deployment.warnings for name, deployment in deployments.items()} == {"test": (), "prod": ()}


def test_policies_are_written_without_a_space_too_many(everything):
    """AWS gives them back so: a space would be a difference on every update."""
    for resource in everything:
        for field in ("policy", "assumeRolePolicy"):
            text = resource.inputs.get(field)
            if text:
                assert text == json.dumps(json.loads(text), separators=(",", ":")), resource.name


def test_a_deploying_role_may_pass_each_role_of_a_service_to_that_service(largest):
    """A role that it may not pass stops a deployment: the provider waits for the permission."""
    seen = set[str]()
    for role in (each for deployment in largest.values() for each in deployment.resources):
        if role.type == "aws:iam/role:Role":
            for statement in json.loads(role.inputs["assumeRolePolicy"])["Statement"]:
                if service := statement["Principal"].get("Service"):
                    seen.add(service)
                    names = deploying_roles.PASSED[service]
                    assert any(fnmatch(f"{role.name}-0a1b2c3", name) for name in names), role.name
    assert seen == set(deploying_roles.PASSED)
