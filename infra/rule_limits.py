"""The limits that rules compare a stack's resources with, from its settings."""

from collections.abc import Callable

from infra.configuration.prices import PriceTable, PriceUnknown
from infra.configuration.settings import StackSettings
from infra.rules import Limits, TrainingLimits


def rule_limits(settings: StackSettings, table: PriceTable) -> Limits:
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
        hour=_hour(table, settings.region),
    )


def _hour(table: PriceTable, region: str) -> Callable[[str], float | None]:
    """The price of a type in a region, or None: the table need not have every type in every region."""

    def hour(type_: str) -> float | None:
        try:
            return table.region(region).instance_hour(type_)
        except PriceUnknown:
            return None

    return hour
