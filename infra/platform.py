"""What stacks share: data lake, model store, operator roles, training. One stack owns it, the others refer to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.alarms.signals import Watched
from infra.configuration.settings import StackSettings
from infra.instances.code import Code
from infra.instances.small import Small, SmallArgs
from infra.instances.training import Training, TrainingArgs
from infra.instances.user_data import Bundle
from infra.network import Network
from infra.operators import Grants, GrantsArgs, Operators, OperatorsArgs
from infra.pipeline.pipeline import Pipeline, PipelineArgs
from infra.resource_names import ResourceNameOutputs
from infra.storage.data_lake import DataLake, DataLakeArgs
from infra.storage.model_store import ModelStore, ModelStoreArgs
from infra.storage.telemetry_table import TelemetryTable, TelemetryTableArgs
from registry.layout.roles import Role


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The platform that a stack uses, its own or another's: the same facts either way."""

    places: ResourceNameOutputs
    roles: pulumi.Input[Mapping[str, Any]]
    channels: pulumi.Input[Mapping[str, Any]]
    """Each channel's rule."""
    gates: pulumi.Input[Mapping[str, Any]]
    """What photos and models must show."""
    certificate_days: pulumi.Input[int]
    """The longest that a certificate may be valid."""
    owner: pulumi.StackReference | None
    """The stack that owns the platform; None if it is this one."""


def create_platform(settings: StackSettings) -> Platform:
    """Make the platform, or refer to the stack that owns it."""
    return _own(settings) if settings.platform_stack is None else _refer(settings, settings.platform_stack)


@dataclass(frozen=True, kw_only=True)
class TrainingPart:
    """Training as a stack knows it."""

    outputs: pulumi.Input[Mapping[str, Any]]
    made: Training | None
    """The component; None if another stack owns it."""


def create_training(
    settings: StackSettings, platform: Platform, network: Network, bundle: pulumi.Output[Bundle]
) -> TrainingPart:
    """Make training where the platform is made; elsewhere refer to it."""
    if platform.owner is not None:
        return TrainingPart(outputs=_output(platform.owner, "training"), made=None)
    training = Training(
        "training",
        TrainingArgs(
            region=settings.region,
            settings=settings.training,
            pipeline=settings.pipeline,
            network=network,
            places=platform.places,
            bundle=bundle,
            log_days=settings.log_days,
            publisher=pulumi.Output.from_input(platform.roles).apply(lambda roles: roles[Role.PUBLISHER]),
        ),
    )
    return TrainingPart(outputs=training.outputs, made=training)


@dataclass(frozen=True, kw_only=True)
class PipelinePart:
    """The pipeline, from any stack."""

    outputs: pulumi.Input[Mapping[str, Any]]
    watched: tuple[Watched, ...]
    """The pipeline's alarms; none if another stack owns the pipeline."""

    @property
    def act(self) -> pulumi.Output[str]:
        """ARN of the alias of the state machine `act`; RunError if the owner's deployment has none yet."""

        def found(outputs: Mapping[str, Any]) -> str:
            if "act" not in outputs:
                raise pulumi.RunError("the stack that owns the platform has no state machine act: deploy it first")
            return outputs["act"]

        return pulumi.Output.from_input(self.outputs).apply(found)


def create_pipeline(
    settings: StackSettings,
    platform: Platform,
    network: Network,
    code: Code,
    training: TrainingPart,
    topic: pulumi.Input[str],
    tickets: pulumi.Input[str],
) -> PipelinePart:
    """Create the pipeline in the stack with training; elsewhere refer to it."""
    if training.made is None:
        assert platform.owner is not None  # noqa: S101 - the owner makes both
        return PipelinePart(outputs=_output(platform.owner, "pipeline"), watched=())
    roles = pulumi.Output.from_input(platform.roles)
    arns = {role: roles.apply(lambda found, role=role: found[role]) for role in Role}
    small = Small(
        "small",
        SmallArgs(
            region=settings.region,
            settings=settings.pipeline,
            network=network,
            places=platform.places,
            bundle=code.bundle,
            log_days=settings.log_days,
            max_minutes=settings.training.max_minutes,
            roles=arns,
        ),
    )
    pipeline = Pipeline(
        "pipeline",
        PipelineArgs(
            settings=settings,
            network=network,
            places=platform.places,
            training=training.made,
            small=small,
            roles=arns,
            code=code.sha256,
            topic=topic,
            tickets=tickets,
        ),
    )
    return PipelinePart(outputs=pipeline.outputs, watched=tuple(pipeline.watched))


def _own(settings: StackSettings) -> Platform:
    account = aws.get_caller_identity_output().account_id
    data_lake = DataLake(
        "data",
        DataLakeArgs(protect=settings.protect_data, telemetry_days=settings.telemetry_days, accounts=settings.accounts),
    )
    TelemetryTable(
        "telemetry", TelemetryTableArgs(data_lake=data_lake.lake.name_when_ready, days=settings.telemetry_days)
    )
    operators = Operators("operators", OperatorsArgs(account=account, others=tuple(settings.accounts.values())))
    models = ModelStore(
        "models",
        ModelStoreArgs(
            protect=settings.protect_data,
            account=account,
            certifier=operators.roles[Role.CERTIFIER].arn,
            collector=operators.roles[Role.COLLECTOR].arn,
            promoter_id=operators.roles[Role.PROMOTER].unique_id,
            model=settings.model,
            channels=settings.channels,
            accounts=settings.accounts,
            object_lock_days=settings.object_lock_days,
            log_days=settings.log_days,
        ),
    )
    places = ResourceNameOutputs(
        model=settings.model,
        model_store=models.store.name_when_ready,
        data_lake=data_lake.lake.name_when_ready,
        workspace=data_lake.workspace.name_when_ready,
        encryption_key=models.encryption_key.arn,
        signing_key=models.signing_key.arn,
    )
    Grants("grants", GrantsArgs(roles=operators.roles, places=places, photo_sources=settings.photo_sources))
    return Platform(
        places=places,
        roles={role.value: made.arn for role, made in operators.roles.items()},
        channels={name: policy.to_dict() for name, policy in settings.channels.items()},
        gates=settings.gates.to_dict(),
        certificate_days=settings.certificate_days,
        owner=None,
    )


def _refer(settings: StackSettings, stack: str) -> Platform:
    owner = pulumi.StackReference(f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}")
    return Platform(
        places=ResourceNameOutputs(
            model=settings.model,
            model_store=_output(owner, "model_store"),
            data_lake=_output(owner, "data_lake"),
            workspace=_output(owner, "workspace"),
            encryption_key=_output(owner, "encryption_key"),
            signing_key=_output(owner, "signing_key"),
        ),
        roles=_output(owner, "roles"),
        channels=_output(owner, "channels"),
        gates=_output(owner, "gates"),
        certificate_days=_output(owner, "certificate_days"),
        owner=owner,
    )


def _output(owner: pulumi.StackReference, key: str) -> pulumi.Output[Any]:
    """An output of the stack that owns the platform; ends the program with one sentence if it has none.

    A stack that was never made is reported by Pulumi itself, as an unknown stack; one that was made and not deployed,
    or destroyed since, has no outputs.
    """

    def required(name: str, outputs: Mapping[str, Any]) -> Any:
        if key not in outputs:
            stack = name.rpartition("/")[2]
            raise pulumi.RunError(
                f"stack {stack}, which owns the platform, has no output {key!r}: deploy it first, "
                f"`pulumi up --stack {stack}`"
            )
        return outputs[key]

    return pulumi.Output.all(owner.name, owner.outputs).apply(lambda both: required(both[0], both[1]))
