"""Instances as processes: the emulator's EC2 instances run their actual user data on this machine."""

from rehearsal.instances.cloud import Cloud
from rehearsal.instances.events import CommandFailed, InstanceEvent, State, StateNotReached, UnknownInstance
from rehearsal.instances.runner import InstanceRunner

__all__ = [
    "Cloud",
    "CommandFailed",
    "InstanceEvent",
    "InstanceRunner",
    "State",
    "StateNotReached",
    "UnknownInstance",
]
