"""The limits that rules compare a stack's resources with, from its settings."""

from infra.configuration import costs
from infra.configuration.settings import StackSettings
from infra.rules import Limits, TrainingLimits


def rule_limits(settings: StackSettings) -> Limits:
    """The limits of a stack. Training counts where the platform is: other stacks launch none."""
    training = TrainingLimits(
        instance_types=tuple(kind.name for kind in settings.training.instance_types),
        instances=settings.training.instances,
        max_minutes=settings.training.max_minutes,
    )
    return Limits(
        gpu_types=frozenset(settings.allowed.gpu_types),
        instances=settings.allowed.instances,
        hourly_usd=settings.allowed.hourly_usd,
        protect_data=settings.protect_data,
        training=training if settings.platform_stack is None else None,
        hour=_hour,
    )


def _hour(type_: str) -> float | None:
    try:
        return costs.instance_hour(type_)
    except costs.PriceUnknown:
        return None
