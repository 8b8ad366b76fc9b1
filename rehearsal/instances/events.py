"""Events of instances that a runner reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

State = Literal["running", "shutting-down", "stopped", "terminated"]


@dataclass(frozen=True, kw_only=True)
class InstanceEvent:
    """Something that happened to an instance.

    Kinds: `running`, `user-data` (it ended), `unit` (a service started or ended), `notice` (spot interruption),
    `shutting-down`, `stopped`, `terminated`, `trouble` (the emulator did not answer).
    """

    instance_id: str
    kind: str
    at: datetime
    detail: Mapping[str, Any]


class UnknownInstance(LookupError):
    """An instance that this runner has not started."""


class CommandFailed(Exception):
    """A command could not be run on an instance, ended with an error, or took too long."""


class StateNotReached(Exception):
    """An instance did not reach a state in time."""
