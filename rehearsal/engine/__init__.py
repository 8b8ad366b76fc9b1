"""Deploys the Pulumi program into the rehearsal.

`Engine` is what the rehearsal needs of an engine; `EmbeddedEngine` is the one that needs nothing but the AWS provider
binary. See docs/design/engine.md.
"""

from typing import Any, Protocol

from rehearsal.engine.configuration import Secret
from rehearsal.engine.display import DeploymentFailed, Event, StackResource, Step, Update
from rehearsal.engine.embedded import EmbeddedEngine
from rehearsal.engine.errors import (
    Cancelled,
    ConfigurationRefused,
    EmulatorMissing,
    EndpointRefused,
    EngineError,
    ProviderChanged,
    ProviderMissing,
    StackBusy,
)
from rehearsal.engine.provider.binary import find_provider


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
    "StackResource",
    "Step",
    "Update",
    "find_provider",
]
