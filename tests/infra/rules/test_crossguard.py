"""The policy pack, asked as Pulumi's engine asks it: its own server, over gRPC on loopback."""

import json
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import pulumi
import pytest
import yaml
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from infra.rules import RULES, UNKNOWN, Resource, check
from tests.infra.conftest import HOST, ROOT
from tests.infra.rules.conftest import Judged, violated, with_properties
from tests.infra.rules.test_violations import CHANGED

NOT_KNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
ASSET = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "path": "code.zip"}
NOT_TOLD = {"code-retained"}
"""The protocol does not say `retainOnDelete`."""


@dataclass(frozen=True)
class Pack:
    """The pack's server, and what it says."""

    stub: analyzer_pb2_grpc.AnalyzerStub

    def asked(self, resource: Resource) -> Iterable[Any]:
        """What it says before a resource is created."""
        request = analyzer_pb2.AnalyzeRequest(
            type=resource.type,
            name=resource.name,
            urn=resource.urn,
            properties=as_struct(resource.properties),
            options=analyzer_pb2.AnalyzerResourceOptions(protect=resource.protect),
        )
        return self.stub.Analyze(request, timeout=60).diagnostics

    def asked_of_all(self, resources: Iterable[Resource]) -> Iterable[Any]:
        """What it says at the end."""
        request = analyzer_pb2.AnalyzeStackRequest(
            resources=[
                analyzer_pb2.AnalyzerResource(
                    type=one.type,
                    name=one.name,
                    urn=one.urn,
                    properties=as_struct(one.properties),
                    options=analyzer_pb2.AnalyzerResourceOptions(protect=one.protect),
                    propertyDependencies={
                        name: analyzer_pb2.AnalyzerPropertyDependencies(urns=sorted(urns))
                        for name, urns in one.refers.items()
                    },
                )
                for one in resources
            ]
        )
        return self.stub.AnalyzeStack(request, timeout=60).diagnostics

    def violated(self, resource: Resource, resources: Iterable[Resource]) -> set[str]:
        """Mandatory policies that a resource, or the stack with it, violates."""
        said = [*self.asked(resource), *self.asked_of_all(resources)]
        return {one.policyName for one in said if is_mandatory(one)}


def is_mandatory(said: Any) -> bool:
    return said.enforcementLevel == analyzer_pb2.MANDATORY


def as_struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Properties as the engine sends them."""

    def plain(value: Any) -> Any:
        if value is UNKNOWN:
            return NOT_KNOWN
        return ASSET if isinstance(value, pulumi.Asset) else str(value)

    return json_format.Parse(json.dumps(dict(properties), default=plain), struct_pb2.Struct())


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pack]:
    """The pack as its language host starts it, beside stacks that can be deployed."""
    root = tmp_path_factory.mktemp("project")
    for stack, more in (("test", {}), ("prod", HOST)):
        settings = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
        (root / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": settings["config"] | more}))
    folder = root / "infra" / "crossguard"
    shutil.copytree(ROOT / "infra" / "crossguard", folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=sys.stderr, text=True) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
                yield Pack(analyzer_pb2_grpc.AnalyzerStub(channel))
        finally:
            process.kill()


def test_the_pack_has_a_policy_for_each_rule_that_ends_the_preview(pack):
    info = pack.stub.GetAnalyzerInfo(empty_pb2.Empty(), timeout=60)
    assert info.name == "petpark"
    levels = {policy.name: policy.enforcementLevel for policy in info.policies}
    assert levels == {rule.name: analyzer_pb2.MANDATORY for rule in RULES}


def test_the_pack_runs_in_the_environment_of_the_program():
    options = yaml.safe_load((ROOT / "infra/crossguard/PulumiPolicy.yaml").read_text())["runtime"]["options"]
    program = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["runtime"]["options"]
    assert options["toolchain"] == program["toolchain"]
    assert (ROOT / "infra/crossguard" / options["virtualenv"]).resolve() == (ROOT / program["virtualenv"]).resolve()


def test_neither_stack_violates_a_policy_as_it_is_shipped(pack, judged):
    for one in judged.values():
        assert [said for resource in one.resources for said in pack.asked(resource)] == []
        assert [said.policyName for said in pack.asked_of_all(one.resources) if is_mandatory(said)] == []


@pytest.mark.parametrize(("rule", "stack", "name", "change"), CHANGED)
def test_the_pack_finds_what_the_rules_find(pack, judged: Mapping[str, Judged], rule, stack, name, change):
    one = judged[stack]
    before = next(resource for resource in one.resources if resource.name == name)
    after = change(before)
    resources = [after if each is before else each for each in one.resources]
    resources = [each for each in resources if each is not None]
    expected = violated(check(resources, one.limits)) - NOT_TOLD
    assert pack.violated(after or one.resources[0], resources) == expected
    assert rule in expected | NOT_TOLD


def test_the_pack_is_told_what_is_protected(pack):
    for protect in (True, False):
        type_ = "aws:kms/key:Key"
        tags = {"petpark:project": "petpark", "petpark:stack": "prod", "petpark:component": "models"}
        properties = {"enableKeyRotation": True, "tags": tags}
        urn = f"urn:pulumi:prod::petpark::{type_}::models-key"
        key = Resource(type=type_, name="models-key", urn=urn, properties=properties, protect=protect)
        assert [said.policyName for said in pack.asked(key)] == ([] if protect else ["data-protected"])


def test_a_value_that_is_not_known_yet_is_a_warning(pack, judged):
    policy = next(one for one in judged["test"].resources if one.name == "models-policy")
    (said,) = pack.asked(with_properties(policy=UNKNOWN)(policy))
    assert said.policyName == "bucket-not-public"
    assert said.enforcementLevel == analyzer_pb2.ADVISORY
    assert "during preview: models-policy: policy is known only after" in said.message


def test_an_unusable_settings_file_ends_the_preview_with_its_reason(pack, judged):
    elsewhere = next(one for one in judged["test"].resources if one.kind == "ec2.Instance")
    renamed = type(elsewhere)(
        type=elsewhere.type,
        name=elsewhere.name,
        urn=elsewhere.urn.replace("urn:pulumi:test::", "urn:pulumi:other::"),
        properties=elsewhere.properties,
    )
    with pytest.raises(grpc.RpcError, match=r"Pulumi\.other\.yaml does not exist"):
        pack.asked(renamed)
