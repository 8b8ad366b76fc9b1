"""What can go wrong in a deployment, each outcome by its name."""

from collections.abc import Sequence


class EngineError(Exception):
    """The engine refuses something or could not do it; the message says what to do next."""


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
    """Another operation has locked the stack."""


class StateUnreadable(EngineError):
    """The stack's state cannot be read: another passphrase, another engine, or damage."""


class StackMissing(EngineError):
    """The stack was never deployed from this state directory."""


class ConfigurationRefused(EngineError):
    """A configuration file or value that the engine cannot use."""


class Unsupported(EngineError):
    """The program needs something that the engine does not support."""


class ResourceProtected(EngineError):
    """A protected resource would have been deleted or replaced."""


class Cancelled(EngineError):
    """The operation was cancelled before this step began."""


class ProviderDiagnostics(EngineError):
    """The provider returned errors; `messages` are its own words."""

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = tuple(messages)
        super().__init__("; ".join(self.messages))
