"""What the rest of the stack needs to know of an endpoint of either kind."""

from collections.abc import Mapping
from typing import Any

from infra.alarms.signals import Signal
from infra.component import Component
from infra.configuration.objectives import Objective
from infra.endpoint.alarms import MonitoredSignal
from infra.endpoint.signals import Share


class EndpointKind(Component):
    """Where models answer."""

    outputs: dict[str, Any]
    signals: Mapping[MonitoredSignal, Signal]
    """Its metrics; without a signal there is no alarm."""
    shares: Mapping[Objective, Share]
    """What its objectives are measured by."""
