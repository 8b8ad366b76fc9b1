"""The page's section on models, from a stack's outputs, its settings after the change, and the registry's content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petpark.errors import StackOutdated
from petpark.failures.failure import describe
from petpark.preview.models.changes import Rules, found
from petpark.preview.plan import Models
from petpark.targets.stacks import StackOutputs, parse

if TYPE_CHECKING:
    from petpark.preview.recorded.record import StackRecord
    from petpark.targets.target import Target

_STACK = "pulumi:pulumi:Stack"


def from_registry(stack: str, root: Path, open_target: Callable[[], Target], *, at: datetime) -> Models:
    """Returns the section from the registry's current content; a registry that cannot be read is its `problem`."""
    from petpark.preview.models import registry_facts

    try:
        target = open_target()
        registry = registry_facts.read(target)
    except Exception as error:
        failure = describe(error)
        if failure is None:
            raise
        return Models(problem=f"the registry could not be read: {failure.message}")
    return _part(stack, root, target.outputs, registry, "from the registry, now", at)


def from_record(record: StackRecord, root: Path, *, at: datetime) -> Models:
    """Returns the section from the deploy job's record."""
    if record.models is None:
        return Models(problem="the record has no registry data: the deploy job could not read it")
    outputs = next((each.outputs for each in record.resources if each.type == _STACK), {})
    try:
        read = parse(record.stack, outputs)
    except (StackOutdated, TypeError) as error:
        return Models(problem=str(error))
    return _part(record.stack, root, read, record.models, f"as recorded with state {record.state}", at)


def _part(
    stack: str, root: Path, outputs: StackOutputs, registry: Mapping[str, Any], source: str, at: datetime
) -> Models:
    from infra.configuration.stack_file import SettingsUnusable

    now = Rules(
        model=outputs.model, channel=outputs.endpoint.channel, gates=outputs.gates, channels=dict(outputs.channels)
    )
    try:
        return found(registry, source, now, _wanted(stack, root), at=at)
    except SettingsUnusable as error:
        return Models(problem=" ".join(str(error).split()))
    except (ValueError, LookupError, TypeError, AttributeError):
        return Models(problem="the registry's content has an unexpected format")


def _wanted(stack: str, root: Path) -> Rules:
    """The declared rules; gates and channels are those of the stack that owns the platform."""
    from infra.configuration.stack_file import read_stack

    settings = read_stack(root, stack)
    owner = settings if settings.platform_stack is None else read_stack(root, settings.platform_stack)
    return Rules(
        model=settings.model,
        channel=settings.endpoint.channel,
        gates=owner.gates,
        channels=owner.channels,
        require_certificate=settings.endpoint.require_certificate,
    )
