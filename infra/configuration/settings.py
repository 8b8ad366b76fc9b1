"""Stack configuration, read once into one frozen record. Everything that differs between stacks is a value here."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pulumi

from infra.configuration import alarm_actions
from infra.configuration.alarm_actions import NO_ACTIONS, Action, AlarmActions, AlarmActionsInvalid
from infra.configuration.endpoint_settings import EndpointSettings, read_endpoint
from infra.configuration.instance_types import InstanceType
from infra.configuration.objectives import PERCENTAGES, Objective
from infra.configuration.pipeline_settings import PipelineSettings
from infra.configuration.platform_settings import (
    OWN,
    read_channels,
    read_gates,
    read_photo_sources,
    read_pipeline,
)
from infra.configuration.settings_reader import EXPIRES, NONE, Check, Reader, SettingsInvalid
from infra.policies import as_json, write_once_bucket
from registry.channel_policy import ChannelPolicy
from registry.gates import StackGates

__all__ = ["SettingsInvalid", "StackSettings", "TrainingSettings", "load", "read"]

_PROJECT_FOLDER = Path(__file__).resolve().parents[2]
"""The folder that has `Pulumi.yaml` and a file for each stack."""

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DefaultRetention.html
_LONGEST_LOCK_DAYS = 36_500

_EXPIRES_EXPECTED = f"a day such as 2026-12-31, or {NONE!r}"

LONGEST_CERTIFICATE_DAYS = 3_650
"""A certificate means that a person examined a version; after ten years that is no longer useful."""

_LONGEST_TELEMETRY_DAYS = 3_650

# Names of regions in the partition `aws`, which every ARN here is of.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
_REGION = re.compile(r"(?!cn-|us-gov-|[a-z]{2}-iso|eusc-)[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")

# https://www.iana.org/assignments/iana-ipv4-special-registry: no network can have these. The rest is for AWS to judge.
_NO_NETWORKS = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))

_MOST_ACCOUNTS = 20
"""Stacks in accounts of their own; a role's trust policy, which names them, may have 2,048 characters."""

_BUCKET_POLICY = 20 * 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html"""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What a training instance is."""

    instance_types: tuple[InstanceType, ...]
    """In order of preference; later ones if EC2 has no capacity for earlier ones. One machine image fits all."""
    spot: bool
    volume_gb: int
    max_minutes: int
    """When the instance's own watchdog ends it, whatever it is doing."""
    instances: int
    """The most that train one job together; where it is 1 none of them can be connected to."""


@dataclass(frozen=True, kw_only=True)
class AllowedSettings:
    """What the stack may have at most, whatever its other settings say: the limits of `infra.rules`."""

    gpu_types: tuple[str, ...]
    instances: int
    """At once: the endpoint's, and one job's training."""
    hourly_usd: int
    """What these cost in an hour, on demand."""


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """One stack's configuration, whole and checked."""

    region: str
    platform_stack: str | None
    """The stack that owns the platform; None if it is this one."""
    model: str
    protect_data: bool
    """Refuse to destroy the platform's buckets while they hold anything."""
    object_lock_days: int
    """Days for which S3 keeps what is in the model store from being deleted for good; 0 for no Object Lock."""
    certificate_days: int
    """The longest that a certificate may be valid; the value of the stack that owns the platform counts."""
    telemetry_days: int
    """Days that recorded predictions are kept; the value of the stack that owns the platform counts."""
    channels: Mapping[str, ChannelPolicy]
    """Each channel's rule; empty in a stack that does not own the platform."""
    accounts: Mapping[str, str]
    """Stacks that have their own AWS account, and its id; all others are in the owner's account."""
    photo_sources: tuple[str, ...]
    """`bucket` or `bucket/prefix` from which the publisher may ingest photos; none in a stack without the platform."""
    gates: StackGates
    """What photos and models must show, and how models are tested; empty in a stack that does not own the platform."""
    network: str
    """The stack's address block, as CIDR."""
    zones: tuple[str, str]
    log_days: int
    latency_alarm_ms: int
    objectives: Mapping[Objective, str]
    """The percentage of requests of which each objective must be true."""
    alarm_email: str | None
    pager_url: str | None = field(repr=False)
    """HTTPS endpoint that also receives pages; a secret."""
    chat_webhook: str | None = field(repr=False)
    """Webhook for chat messages; a secret."""
    alarm_actions: AlarmActions
    """Actions of each alarm."""
    runbook_url: str | None
    """URL of the runbook for links; if None, alarms name its path in the repository."""
    training: TrainingSettings
    pipeline: PipelineSettings
    endpoint: EndpointSettings
    allowed: AllowedSettings


def load() -> StackSettings:
    """Read the configuration of the stack that is being deployed. Raises `SettingsInvalid`."""
    config, provider = pulumi.Config(), pulumi.Config("aws")
    require_tags(provider.get("defaultTags"), project=pulumi.get_project(), stack=pulumi.get_stack())
    settings = read(config.get, region=provider.get("region"), namespace=config.name)
    require_stacks(settings, project=_PROJECT_FOLDER)
    return settings


def require_stacks(settings: StackSettings, *, project: Path) -> None:
    """Raise `SettingsInvalid` unless each stack named by the pipeline has a `Pulumi.<stack>.yaml` in `project`.

    Otherwise a scheduled job, or the last stage after hours of training, would be the first to fail.
    """
    if settings.platform_stack is not None:
        return
    known = sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in project.glob("Pulumi.*.yaml"))
    named = {"prod_stack": [settings.pipeline.prod_stack or ""], "drift_stacks": settings.pipeline.drift_stacks}
    wrong = [
        f"petpark:pipeline.{key} has {name!r}; expected a stack with a file Pulumi.{name}.yaml: {', '.join(known)}"
        for key, names in named.items()
        for name in names
        if name and name not in known
    ]
    if wrong:
        raise SettingsInvalid("\n".join([*wrong, "correct the name, or create the stack's file first"]))


def require_tags(given: str | None, *, project: str, stack: str) -> None:
    """Raise `SettingsInvalid` unless the provider's default tags name this stack and its last day.

    Budgets count by them, and roles that deploy may change only resources with their stack's tag.
    """
    try:
        tags: Any = json.loads(given or "{}")["tags"]
        fits = tags["petpark:project"] == project and tags["petpark:stack"] == stack
        if tags[EXPIRES] != NONE:
            date.fromisoformat(tags[EXPIRES])
    except (ValueError, LookupError, TypeError):
        fits = False
    if not fits:
        raise SettingsInvalid(
            f"aws:defaultTags in Pulumi.{stack}.yaml is {given}; expected tags with petpark:project {project}, "
            f"petpark:stack {stack}, and {EXPIRES} {_EXPIRES_EXPECTED}"
        )


def read(get: Callable[[str], str | None], *, region: str | None, namespace: str) -> StackSettings:
    """Check all values that `get` gives. Raises `SettingsInvalid` naming every wrong key, not only the first."""
    values = Reader(get, namespace)
    settings = read_from(values, region)
    values.settle()
    return settings


def read_from(values: Reader, region: str | None) -> StackSettings:
    """Read every setting with its check; what is wrong is left to `values.settle`."""
    values.checks["aws:defaultTags"] = Check(
        expected=f"tags: petpark:project, petpark:stack (the stack's own name), {EXPIRES} ({_EXPIRES_EXPECTED})"
    )
    expected = "a region such as eu-west-1; not one of China, GovCloud or another partition, whose ARNs differ"
    values.checks["aws:region"] = Check(expected=expected)
    if not _REGION.fullmatch(region or ""):
        values.refuse("aws:region", region, expected)
    platform_stack = values.stack("platform", OWN)
    endpoint = read_endpoint(values, region or "")
    settings = StackSettings(
        region=region or "",
        platform_stack=platform_stack,
        model=values.name("model"),
        protect_data=values.boolean("protect_data"),
        object_lock_days=values.integer("object_lock_days", 0, _LONGEST_LOCK_DAYS),
        certificate_days=values.integer("certificate_days", 1, LONGEST_CERTIFICATE_DAYS),
        telemetry_days=values.integer("telemetry_days", 1, _LONGEST_TELEMETRY_DAYS),
        channels=read_channels(values, platform_stack, endpoint.channel),
        accounts=values.accounts("accounts", _MOST_ACCOUNTS),
        photo_sources=read_photo_sources(values, platform_stack),
        gates=read_gates(values, platform_stack),
        network=_network(values),
        zones=values.zones("zones", region or ""),
        log_days=values.one_of("log_days", LOG_DAYS),
        latency_alarm_ms=values.integer("latency_alarm_ms", 1, 60_000),
        objectives={each: values.one_of(f"{each}_objective", PERCENTAGES) for each in Objective},
        alarm_email=values.email("alarm_email"),
        pager_url=values.secret_url("pager_url"),
        chat_webhook=values.secret_url("chat_webhook"),
        alarm_actions=_alarm_actions(values),
        runbook_url=values.page("runbook_url"),
        training=_training(values),
        pipeline=read_pipeline(values, platform_stack),
        endpoint=endpoint,
        allowed=AllowedSettings(
            gpu_types=values.gpu_types("allowed_gpu_types"),
            instances=values.integer("allowed_instances", 1, 1_000),
            hourly_usd=values.integer("allowed_hourly_usd", 1, 100_000),
        ),
    )
    _refuse_too_many_names(values, settings)
    _refuse_actions_that_cannot_be(values, settings)
    _refuse_movers_of_the_pipelines_channels(values, settings)
    _refuse_an_undeclared_channel(values, settings)
    return settings


def _refuse_too_many_names(values: Reader, settings: StackSettings) -> None:
    """Movers and accounts are named in the policy of the model store's bucket, whose size is limited."""
    role = f"arn:aws:iam::{'0' * 12}:role/{'r' * 64}"
    document = write_once_bucket(
        "b" * 63, role, role, "AROA" + "A" * 17, settings.model, settings.channels, settings.accounts
    )
    size = len(as_json(document))
    if size > _BUCKET_POLICY:
        expected = f"fewer movers, so that the bucket's policy has at most {_BUCKET_POLICY:,} characters"
        values.refuse("channels", f"movers that make a policy of {size:,} characters", expected)


def _refuse_movers_of_the_pipelines_channels(values: Reader, settings: StackSettings) -> None:
    """The pipeline moves channels as promoter under its instance's id, which a list of movers cannot contain."""
    if settings.platform_stack is not None:
        return
    moved = {settings.endpoint.channel: "[]: the pipeline moves this channel, and movers are people"}
    if settings.pipeline.prod_stack is not None:
        moved[settings.pipeline.prod_channel] = (
            "[], as the pipeline moves this channel, and movers are people; or prod_stack: none in petpark:pipeline, "
            "which leaves the move to them"
        )
    for name, expected in moved.items():
        if name in settings.channels and (movers := settings.channels[name].movers):
            values.refuse(f"channels.{name}.movers", ", ".join(movers), expected)


def _refuse_an_undeclared_channel(values: Reader, settings: StackSettings) -> None:
    """After hours of training, no rule would say who may move it."""
    pipeline, declared = settings.pipeline, settings.channels
    if settings.platform_stack is None and declared and pipeline.prod_stack and pipeline.prod_channel not in declared:
        values.refuse("pipeline.prod_channel", pipeline.prod_channel, f"one of channels: {', '.join(declared)}")


def _network(values: Reader) -> str:
    """Read the stack's own block of addresses; one that machines cannot have is refused."""
    block = values.network("network", range(16, 23))
    if block and any(IPv4Network(block).overlaps(other) for other in _NO_NETWORKS):
        values.refuse("network", block, "a private block such as 10.20.0.0/16: machines cannot have such addresses")
    return block


def _alarm_actions(values: Reader) -> AlarmActions:
    """Read the actions of alarms."""
    found = values.mapping("alarm_actions", alarm_actions.EXPECTED)
    try:
        return AlarmActions.from_dict(found or {})
    except AlarmActionsInvalid as refused:
        values.refuse_for("alarm_actions", refused.problems)
        return NO_ACTIONS


def _refuse_actions_that_cannot_be(values: Reader, settings: StackSettings) -> None:
    """Chat needs a webhook, and EventBridge cannot start a state machine in another account."""
    used = settings.alarm_actions.used
    if Action.CHAT in used and settings.chat_webhook is None:
        expected = "chat_webhook as well: pulumi config set --secret petpark:chat_webhook https://…"
        values.refuse("alarm_actions", Action.CHAT.value, expected)
    if settings.platform_stack and settings.accounts and any(each.changes for each in used):
        expected = f"no {Action.ROLLBACK} or {Action.START_PIPELINE} in a stack with an account of its own"
        values.refuse("alarm_actions", ", ".join(sorted(used)), expected)


def _training(values: Reader) -> TrainingSettings:
    kinds = values.instance_types("training_instance_types")
    return TrainingSettings(
        instance_types=kinds,
        spot=values.boolean("training_spot"),
        volume_gb=values.integer("training_volume_gb", kinds[0].smallest_volume_gb, 16_384),
        max_minutes=values.integer("training_max_minutes", 5, 7 * 24 * 60),
        instances=values.integer("training_instances", 1, 64),
    )
