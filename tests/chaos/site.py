"""A run's own stack on the emulator: buckets, launch templates, and the four state machines of `infra.pipeline`."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from infra.configuration.pipeline_settings import PipelineSettings
from infra.instances.user_data import job_script
from infra.pipeline import job_machine, trigger_machine
from infra.pipeline.janitor import janitor_machine
from infra.pipeline.janitor.janitor_machine import JanitorFacts
from infra.pipeline.job.facts import JobFacts, LaunchTemplate
from infra.pipeline.lifecycle import lifecycle_machine
from infra.pipeline.lifecycle.stages import LifecycleFacts
from infra.pipeline.trigger_machine import TriggerFacts, manifest_pattern
from petpark.targets.stacks import parse
from petpark.targets.target import Target
from registry.channels.channel import Channel
from registry.layout.variables import Variable
from registry.store.s3_store import S3Store
from registry.versions.catalog import Catalog
from rehearsal.target import rehearsal_target
from tests.chaos.account import Account
from tests.chaos.plan import EPOCHS

MODEL: Final = "pets"
GATES: Final[Mapping[str, Any]] = {
    "data": {},
    "model": {
        "accuracy": 0,
        "recall": 0,
        "slice_gap": 1,
        "calibration_error": 1,
        "robustness_drop": 1,
        "consistency": 0,
    },
    "checks": {"photos": 5, "calls": 2},
}
TRAINING: Final = (f"epochs={EPOCHS}", "image_size=32", "batch_size=64")
"""All photos are one step: an epoch and its checkpoint have the same number."""
_FREE: Final = {"certificate": False, "two_people": False, "metric": "none", "gates": False, "movers": []}
_TYPE: Final = "t3.large"
_LIMITS: Final = {"around_seconds": 0, "job_usd": 20, "execution_usd": 50, "usd_per_hour": {_TYPE: 0.1}}
"""Of studies, of which a run has none."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long a run waits, in seconds; the stack's own times are in `petpark:pipeline`."""

    heartbeat: int = 12
    """For the next one (300)."""
    boot: int = 90
    """For the worker's first answer (1200)."""
    outage: float = 20.0
    """In which S3 does not answer."""
    notice: float = 30.0
    """From a spot notice to the end of the instance (120)."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One run's stack."""

    account: Account
    name: str
    workspace: str
    models: str
    lake: str
    dataset: str
    aliases: Mapping[str, str]
    endpoint: str
    _targets: dict[tuple[str, str | None], Target] = field(default_factory=dict[tuple[str, str | None], Target])

    def client(self, service: str) -> Any:
        """A client that no fault of the run hits."""
        return self.account.client(service)

    def store(self, bucket: str) -> S3Store:
        """A bucket, by such a client."""
        return S3Store(self.client("s3"), bucket)

    def catalog(self) -> Catalog:
        """The registry."""
        return Catalog(self.store(self.models), MODEL)

    def channel(self, name: str) -> Channel:
        """One of its channels."""
        return Channel(self.store(self.models), MODEL, name)

    def target(self, stack: str = "test", *, only: str | None = None) -> Target:
        """What commands and workers act on: as the account's people, or as one of them."""
        if (stack, only) not in self._targets:
            self._targets[stack, only] = self._open(stack, only)
        return self._targets[stack, only]

    def _open(self, stack: str, only: str | None) -> Target:
        emulator = self.account.emulator
        outputs = {
            "region": emulator.region,
            "model": MODEL,
            "model_store": self.models,
            "data_lake": self.lake,
            "workspace": self.workspace,
            "encryption_key": self.account.signing_key,
            "signing_key": self.account.signing_key,
            "code_bundle": self.account.bundle.sha256,
            "roles": self.account.roles,
            "channels": {"test": _FREE, "prod": _FREE | {"certificate": True, "two_people": True, "gates": True}},
            "gates": GATES,
            "training": {"log_group": ""},
            "endpoint": {"kind": "instance", "channel": stack, "url": self.endpoint, "port": 80, "log_group": ""},
            "pipeline": {"study": "", **self.aliases, "log_group": "", "limits": _LIMITS},
        }
        return rehearsal_target(
            parse(stack, outputs),
            {"test": f"{self.endpoint}/test", "prod": f"{self.endpoint}/prod"},
            emulator.url,
            ("test", "prod"),
            people=self.account.people,
            only=only,
        )


def deploy(account: Account, name: str, *, wire: str | None, times: Times, endpoint: str, own_lake: bool) -> Site:
    """Make a run's stack; its instances reach AWS by the URL `wire`, or do nothing, where there is none."""
    workspace, models = (account.create_bucket(f"{name}-{bucket}") for bucket in ("workspace", "models"))
    versions: Any = {"Status": "Enabled"}
    account.client("s3").put_bucket_versioning(Bucket=workspace, VersioningConfiguration=versions)
    lake = account.create_bucket(f"{name}-lake") if own_lake else account.lake
    settings = PipelineSettings(
        boot_seconds=times.boot,
        heartbeat_seconds=times.heartbeat,
        capacity_seconds=1,
        small_minutes=10,
        train_minutes=20,
        recipe="two-cores",
        rounds=(" ".join(TRAINING),),
    )
    places = {Variable.WORKSPACE: workspace, Variable.MODEL_STORE: models, Variable.DATA_LAKE: lake}
    aliases = _create_machines(account, name, places, settings, _templates(account, name, places, wire, times))
    if own_lake:
        _notify(account, name, lake, aliases["start"])
    return Site(
        account=account,
        name=name,
        workspace=workspace,
        models=models,
        lake=lake,
        dataset=account.dataset,
        aliases=aliases,
        endpoint=endpoint,
    )


def _templates(
    account: Account, name: str, places: Mapping[Variable, str], wire: str | None, times: Times
) -> Mapping[str, str]:
    """Launch templates by machine. `small` has no user data: a thread does its work (`tests.chaos.small_machines`).

    Nor has `training` without a `wire`.
    """
    more = {Variable.MODEL: MODEL, Variable.HEARTBEAT_SECONDS: str(times.heartbeat), Variable.STACK: "test"}
    script = job_script(
        region=account.emulator.region,
        bundle=account.bundle,
        environment=cast("Mapping[Variable, str]", {**places, **more, "AWS_ENDPOINT_URL": wire or ""}),
        max_minutes=30,
    )
    data = {
        "ImageId": "ami-12345678",
        "InstanceType": _TYPE,
        "IamInstanceProfile": {"Arn": account.profile},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
    }
    runs = {"UserData": base64.b64encode(script.encode()).decode()} if wire else {}
    kinds = {"training": data | runs, "small": data}

    def create(kind: str) -> str:
        made = account.client("ec2").create_launch_template(
            LaunchTemplateName=f"{name}-{kind}", LaunchTemplateData=kinds[kind]
        )
        return made["LaunchTemplate"]["LaunchTemplateId"]

    return {kind: create(kind) for kind in kinds}


def _create_machines(
    account: Account,
    name: str,
    places: Mapping[Variable, str],
    settings: PipelineSettings,
    templates: Mapping[str, str],
) -> dict[str, str]:
    """The four state machines; ARNs of their aliases."""
    states, made = account.client("stepfunctions"), dict[str, str]()

    def create(part: str, definition: Mapping[str, Any]) -> None:
        arn = states.create_state_machine(
            name=f"{name}-{part}", definition=json.dumps(definition), roleArn=account.states_role
        )["stateMachineArn"]
        version = states.publish_state_machine_version(stateMachineArn=arn)["stateMachineVersionArn"]
        route = [{"stateMachineVersionArn": version, "weight": 100}]
        alias = states.create_state_machine_alias(name="live", routingConfiguration=route)
        made[part] = alias["stateMachineAliasArn"]

    kinds = {
        kind: LaunchTemplate(template=template, usd_per_hour={_TYPE: 0.1}, spot=kind == "training")
        for kind, template in templates.items()
    }
    job = JobFacts(
        workspace=places[Variable.WORKSPACE],
        subnets=[account.subnet],
        machines=kinds,
        tags={"petpark:stack": name},
        settings=settings,
    )
    create("job", job_machine.definition(job))
    lifecycle = LifecycleFacts(
        job=made["job"],
        study="none: nothing is searched",
        workspace=places[Variable.WORKSPACE],
        lake=places[Variable.DATA_LAKE],
        model=MODEL,
        model_store=places[Variable.MODEL_STORE],
        topic=account.client("sns").create_topic(Name=name)["TopicArn"],
        code=name,  # the same job would be one of several runs
        gates=GATES,
        stack="test",
        channel="test",
        settings=settings,
    )
    create("pipeline", lifecycle_machine.definition(lifecycle))
    create("start", trigger_machine.definition(TriggerFacts(pipeline=made["pipeline"], lifecycle=lifecycle)))
    janitor = JanitorFacts(
        stack=name,
        workspace=places[Variable.WORKSPACE],
        job=made["job"],
        boot_seconds=settings.boot_seconds,
        namespace="petpark",
    )
    create("janitor", janitor_machine.definition(janitor))
    return made


def _notify(account: Account, name: str, lake: str, start: str) -> None:
    account.client("s3").put_bucket_notification_configuration(
        Bucket=lake, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    events = account.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps(manifest_pattern(lake)))
    events.put_targets(Rule=name, Targets=[{"Id": "start", "Arn": start, "RoleArn": account.states_role}])
