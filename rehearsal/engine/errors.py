"""What can go wrong in a deployment, each outcome by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rehearsal.engine.events import Update


class EngineError(Exception):
    """Something the engine refuses or could not do; the message says what to do next."""


class ProviderMissing(EngineError):
    """No AWS provider binary was found on this machine."""


class ProviderChanged(EngineError):
    """The AWS provider binary that set-up downloaded is no longer what was verified then."""


class ProviderFailed(EngineError):
    """The provider could not be started, or a call to it broke off."""


class EndpointRefused(EngineError):
    """The configuration would let the provider talk to something other than this machine."""


class EmulatorMissing(EngineError):
    """Nothing answers at the endpoint."""


class StackBusy(EngineError):
    """Another operation holds the stack's lock."""


class StateUnreadable(EngineError):
    """The stack's state cannot be read: another passphrase, another engine, or damage."""


class StackMissing(EngineError):
    """The stack was never deployed from this state directory."""


class ConfigurationRefused(EngineError):
    """A configuration file or value that the engine cannot use."""


class Unsupported(EngineError):
    """The program asks for something outside what the engine was reviewed for."""


class ResourceProtected(EngineError):
    """A protected resource would have been deleted or replaced."""


class Cancelled(EngineError):
    """The operation was cancelled before this step began."""


class ProviderDiagnostics(EngineError):
    """The provider answered with errors; `messages` are its own words."""

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = tuple(messages)
        super().__init__("; ".join(self.messages))


class DeploymentFailed(EngineError):
    """An operation ended with errors; `update` tells what was done and what was not."""

    def __init__(self, update: Update) -> None:
        self.update = update
        super().__init__("\n".join(update.errors) or f"{update.kind} of stack {update.stack} failed")
