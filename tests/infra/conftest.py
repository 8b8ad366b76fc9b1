import asyncio
import contextlib
import dataclasses
import functools
import json
import logging
import runpy
import warnings
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime import rpc
from pulumi.runtime import settings as runtime_settings
from pulumi.runtime.settings import set_root_resource

from infra.instances.code_bundle import CONTENT

ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Declared:
    """A resource as the program declared it."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    parent: str
    """Name of the parent; empty below the stack."""
    parent_type: str
    protect: bool
    retain: bool
    urn: str
    waits_for: frozenset[str]
    """URNs of dependencies: by inputs, or by `depends_on`."""
    refers: Mapping[str, frozenset[str]]
    """URNs of the resources that each input's value comes from."""


@dataclasses.dataclass(frozen=True)
class Deployment:
    """Everything that one run of the program declared and exported."""

    stack: str
    resources: tuple[Declared, ...]
    outputs: Mapping[str, Any]
    warnings: tuple[str, ...]

    def named(self, name: str, type_: str = "") -> Declared:
        found = [resource for resource in self.resources if resource.name == name and type_ in resource.type]
        assert len(found) == 1, f"{name}: {[resource.type for resource in found]}"
        return found[0]

    def before(self, resource: Declared) -> set[str]:
        """Names of everything that exists before `resource` is created."""
        by_urn = {one.urn: one for one in self.resources}
        found: set[str] = set()
        left = [resource]
        while left:
            waits_for = [by_urn[urn] for urn in left.pop().waits_for if urn in by_urn]
            left += [one for one in waits_for if one.urn not in found]
            found |= {one.urn for one in waits_for}
        return {by_urn[urn].name for urn in found}


ACCOUNT = "123456789012"
ARNS = {
    "InstanceProfile": f"arn:aws:iam::{ACCOUNT}:instance-profile/",
    "Key": f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/",
    "LaunchTemplate": f"arn:aws:ec2:eu-west-1:{ACCOUNT}:launch-template/",
    "LogGroup": f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:",
    "Role": f"arn:aws:iam::{ACCOUNT}:role/",
    "StateMachine": f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:",
    "Subnet": f"arn:aws:ec2:eu-west-1:{ACCOUNT}:subnet/",
    "Topic": f"arn:aws:sns:eu-west-1:{ACCOUNT}:",
}
"""What the ARNs of the resources begin with that policies speak of."""


def _arn(type_: str, name: str, inputs: Mapping[str, Any]) -> str:
    beginning = ARNS.get(type_.rpartition(":")[2], f"arn:aws:mock::{ACCOUNT}:")
    return f"{beginning}{inputs.get('name') or name}"


class Cloud(pulumi_mocks.Mocks):
    """Answers as a cloud would, with names made from the resource's own."""

    def __init__(self, other_stacks: Mapping[str, Mapping[str, Any]]) -> None:
        self.other_stacks = other_stacks

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.typ == "pulumi:pulumi:StackReference":
            return args.name, {"name": args.name, "outputs": dict(self.other_stacks[args.name])}
        computed = {
            "arn": _arn(args.typ, args.name, args.inputs),
            "arnSuffix": f"app/{args.name}",
            "bucket": f"{args.name}-0a1b2c3",
            "dnsName": f"{args.name}.elb.example",
            "domainValidationOptions": [
                {
                    "domainName": str(args.inputs.get("domainName")),
                    "resourceRecordName": f"_proof.{args.inputs.get('domainName')}.",
                    "resourceRecordType": "CNAME",
                    "resourceRecordValue": "_proof.acm.example.",
                }
            ],
            "fqdn": str(args.inputs.get("name")),
            "zoneId": f"zone-of-{args.name}",
            "keyId": f"key-{args.name}",
            "latestVersion": 1,
            "name": f"{args.name}-0a1b2c3",
            "publicIp": "198.51.100.7",
            "stateMachineVersionArn": f"{_arn(args.typ, args.name, args.inputs)}:1",
            "uniqueId": f"AROA-{args.name}",
        }
        return f"{args.name}-id", {**computed, **args.inputs}

    def call(self, args: pulumi_mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        match args.token:
            case "aws:index/getCallerIdentity:getCallerIdentity":
                return {
                    "accountId": "123456789012",
                    "arn": "arn:aws:iam::123456789012:root",
                    "id": "1",
                    "userId": "1",
                }, []
            case "aws:ssm/getParameter:getParameter":
                return {**args.args, "insecureValue": f"ami-for{args.args['name'].replace('/', '-')}", "arn": "a"}, []
            case "aws:route53/getZone:getZone":
                return {**args.args, "zoneId": f"Z-{args.args['name']}", "arn": "a", "id": "z"}, []
            case token:
                raise AssertionError(f"the program asks for {token}, which no test knows")


class Monitor(pulumi_mocks.MockMonitor):
    """Records what Pulumi's own mocks omit: parents, options, and the stack's outputs."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.declared: list[Declared] = []
        self.outputs: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:
        registered = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            parent_type, parent = request.parent.split("::")[2:]
            self.declared.append(
                Declared(
                    type=request.type,
                    name=request.name,
                    inputs=rpc.deserialize_properties(request.object),
                    parent="" if parent_type == "pulumi:pulumi:Stack" else parent,
                    parent_type=parent_type.split("$")[-1],
                    protect=request.protect,
                    retain=request.retainOnDelete,
                    urn=registered.urn,
                    waits_for=frozenset(request.dependencies),
                    refers={name: frozenset(of.urns) for name, of in request.propertyDependencies.items()},
                )
            )
        return registered

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if "pulumi:pulumi:Stack::" in request.urn:
            self.outputs = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)


class Complaints(logging.Handler):
    """Records Pulumi's warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@contextlib.contextmanager
def closing_event_loops(patch: pytest.MonkeyPatch) -> Generator[None]:
    """Close the event loops that Pulumi's mocks make on their worker threads and leave behind."""
    made: list[asyncio.AbstractEventLoop] = []
    new_event_loop = asyncio.new_event_loop

    def remember() -> asyncio.AbstractEventLoop:
        made.append(new_event_loop())
        return made[-1]

    patch.setattr(asyncio, "new_event_loop", remember)
    try:
        yield
    finally:
        for loop in made:
            loop.close()


HOST = {"petpark:host_name": "photos.park.example", "petpark:dns_zone": "park.example"}
"""What the shipped file leaves to its owner: the name by which clients call prod."""


def shipped(stack: str, root: Path = ROOT) -> dict[str, str]:
    """The stack's YAML as Pulumi hands it to a program: everything is text, and what has parts is JSON."""
    config = yaml.safe_load((root / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}


def configuration(stack: str) -> dict[str, str]:
    """The stack's configuration when it can be deployed."""
    return shipped(stack) | (HOST if stack == "prod" else {})


def deploy(stack: str, folder: Path, others: Mapping[str, Deployment], **changes: str) -> Deployment:
    """Run the real program with the stack's real YAML against Pulumi's mocks."""
    config = configuration(stack) | {f"petpark:{key}": value for key, value in changes.items()}
    return run_project(ROOT, "petpark", stack, config, folder, others)


def run_project(
    root: Path, project: str, stack: str, config: dict[str, str], folder: Path, others: Mapping[str, Deployment]
) -> Deployment:
    """Run the program of a project against Pulumi's mocks."""
    monitor = Monitor(Cloud({f"organization/{project}/{name}": other.outputs for name, other in others.items()}))

    # The language host's choice: asyncio's complaints about tasks that failed together with the program are noise.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    log = logging.Logger("pulumi")
    log.addHandler(complaints := Complaints())

    def program() -> None:
        runpy.run_path(str(root / "__main__.py"))

    async def run() -> None:
        pulumi.runtime.set_all_config(config)
        pulumi.runtime.set_mocks(
            monitor.mocks,
            project=project,
            stack=stack,
            preview=False,
            logger=log,
            monitor=monitor,
            organization="organization",
        )
        set_root_resource(None)  # pyright: ignore[reportArgumentType] - the mocks made a stack that exports nothing
        await pulumi.runtime.run_in_stack(program)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        # Modules of the SDK warn about their old names when they are loaded, whoever uses them or not. That we use one
        # is told by Pulumi's log instead.
        warnings.filterwarnings("ignore", message=r"\S+ has been deprecated in favor of", category=DeprecationWarning)
        patch.chdir(folder)
        with closing_event_loops(patch):
            try:
                asyncio.run(run())
            finally:
                # What a program left under way when it failed belongs to a loop that is gone.
                runtime_settings._get_rpc_manager().clear()
                outputs: Any = runtime_settings.SETTINGS
                outputs.outputs.clear()
    return Deployment(
        stack=stack, resources=tuple(monitor.declared), outputs=monitor.outputs, warnings=tuple(complaints.heard)
    )


def write_checkout(folder: Path, text: str = "") -> Path:
    """Write just enough into `folder` to be bundled; each package has a file with `text`, or with its own name."""
    for package in (part for part in CONTENT if "." not in part):
        (folder / package).mkdir()
        (folder / package / "file.txt").write_text(text or package)
    (folder / "bootstrap.sh").write_text("#!/bin/bash\n")
    return folder


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with just enough in it to be bundled."""
    return write_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def deployments(checkout: Path) -> dict[str, Deployment]:
    """Both stacks, as their YAML files say: prod refers to test."""
    test = deploy("test", checkout, {})
    return {"test": test, "prod": deploy("prod", checkout, {"test": test})}


PROD_ACCOUNT = "210987654321"


@pytest.fixture(scope="session")
def apart(checkout: Path) -> dict[str, Deployment]:
    """The same, with prod in its own account."""
    accounts = json.dumps({"prod": PROD_ACCOUNT})
    test = deploy("test", checkout, {}, accounts=accounts)
    return {"test": test, "prod": deploy("prod", checkout, {"test": test}, accounts=accounts)}


@pytest.fixture(scope="session")
def largest(checkout: Path) -> dict[str, Deployment]:
    """Both stacks with the most and the longest that settings take, in other than their usual kinds."""
    short = "s" + "-" * 30
    movers = [f"somebody.with.a.name{number}@park.example" for number in range(20)]
    channel = {"certificate": True, "two_people": True, "metric": "none", "gates": True, "movers": movers}
    moved = {name: {**channel, "movers": []} for name in ("test", "prod")}  # by the pipeline, so by no people
    channels = {**moved, **{f"{short[:-2]}{number:02}": channel for number in range(8)}}
    accounts = {"prod": PROD_ACCOUNT, **{f"{short[:-2]}{n:02}": f"{n:012}" for n in range(19)}}
    sources = [f"{number:03}/{'x' * 46}" for number in range(20)]
    plain = {"endpoint_kind": "instance", "host_name": "none", "dns_zone": "none", "api_keys": "open"}
    common = {"model": short, "accounts": json.dumps(accounts), "training_instances": "64"}
    test = deploy(
        "test",
        checkout,
        {},
        **common,
        channels=json.dumps(channels),
        photo_sources=json.dumps(sources),
        object_lock_days="36500",
        endpoint_kind="autoscaled",
        pipeline=json.dumps({"on_manifest": True, "schedule": "rate(7 days)", "canary_percent": 5}),
    )
    return {"test": test, "prod": deploy("prod", checkout, {"test": test}, **common, **plain)}


@pytest.fixture(scope="session")
def everything(deployments: dict[str, Deployment]) -> tuple[Declared, ...]:
    """The resources of both stacks."""
    return tuple(resource for deployment in deployments.values() for resource in deployment.resources)


@pytest.fixture
def redeploy(checkout: Path, deployments: dict[str, Deployment]) -> Callable[..., Deployment]:
    """Deploy a stack again with changed settings."""
    return functools.partial(_redeploy, checkout, deployments)


def _redeploy(checkout: Path, deployments: dict[str, Deployment], stack: str, **changes: str) -> Deployment:
    return deploy(stack, checkout, deployments, **changes)
