"""What a stack may have at most: the settings that rules compare declared resources with."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrainingLimits:
    """What a launcher may start from the stack's launch template: no resource says so, the settings do."""

    instance_types: tuple[str, ...]
    instances: int
    """The most that train one job together."""
    max_minutes: int
    """When an instance's watchdog ends it at the latest."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one stack."""

    gpu_types: frozenset[str]
    """Instance types with a GPU that the stack may use."""
    instances: int
    """The most instances at once: single ones, the largest size of each group, and one job's training."""
    hourly_usd: float
    """The most that these cost in an hour, on demand."""
    protect_data: bool
    """Buckets and keys must not be deletable."""
    training: TrainingLimits | None
    """None in a stack that trains nothing itself."""
    hour: Callable[[str], float | None]
    """USD of an hour of an instance type, on demand; None if no price is known."""
