"""Deploys the Pulumi program into the rehearsal.

`Engine` is what the rehearsal asks of an engine; `EmbeddedEngine` is the one that needs nothing but the AWS provider
binary. See docs/design/engine.md.
"""

from __future__ import annotations

from typing import Any, Protocol

from rehearsal.engine.embedded import EmbeddedEngine
from rehearsal.engine.errors import (
    Cancelled,
    ConfigurationRefused,
    DeploymentFailed,
    EmulatorMissing,
    EndpointRefused,
    EngineError,
    ProviderChanged,
    ProviderMissing,
    StackBusy,
    StackMissing,
    StateUnreadable,
)
from rehearsal.engine.events import Change, Event, StackResource, Step, Update
from rehearsal.engine.project import Secret
from rehearsal.engine.provider_binary import find_provider


class Engine(Protocol):
    """Deploys the stacks of one project; operations raise `DeploymentFailed` if they did not succeed."""

    def preview(self, stack: str) -> Update:
        """What `up` would do; changes nothing."""
        ...

    def up(self, stack: str) -> Update:
        """Make the stack what the program declares."""
        ...

    def refresh(self, stack: str) -> Update:
        """Bring the state to what is really there."""
        ...

    def destroy(self, stack: str) -> Update:
        """Delete everything the stack has."""
        ...

    def outputs(self, stack: str) -> dict[str, Any]:
        """The stack's outputs; secret ones masked."""
        ...

    def resources(self, stack: str) -> list[StackResource]:
        """What the stack has."""
        ...

    def cancel(self) -> None:
        """End the running operation as soon as what is in flight is recorded."""
        ...


__all__ = [
    "Cancelled",
    "Change",
    "ConfigurationRefused",
    "DeploymentFailed",
    "EmbeddedEngine",
    "EmulatorMissing",
    "EndpointRefused",
    "Engine",
    "EngineError",
    "Event",
    "ProviderChanged",
    "ProviderMissing",
    "Secret",
    "StackBusy",
    "StackMissing",
    "StackResource",
    "StateUnreadable",
    "Step",
    "Update",
    "find_provider",
]
