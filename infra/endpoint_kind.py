"""What the rest of the stack wants to know of an endpoint of any kind."""

from collections.abc import Mapping
from typing import Any

from infra.alarms import Watched
from infra.component import Component
from infra.signals import Signal


class EndpointKind(Component):
    """Where models answer."""

    outputs: dict[str, Any]
    signals: Mapping[Watched, Signal]
    """How it is doing; what it has no signal for has no alarm."""
