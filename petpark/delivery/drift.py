"""What is deployed differs from what Pulumi recorded: somebody changed it by hand, or AWS did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from petpark.delivery import engine_events
from petpark.delivery.engine_events import Done
from petpark.preview.page import LIMIT, code, escape

_SECONDS: Final = 1_200.0
_PROPERTIES: Final = 20
"""Properties of a resource that the issue shows."""
_LAST_LINE: Final = 300
_CHARACTERS: Final = 300
"""Of a value that the issue shows."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What differs in one stack; nothing if `resources` is empty."""

    stack: str
    resources: tuple[Done, ...]


def examine(stack: str, root: Path) -> Drift:
    """Read every resource of the stack from AWS, and change nothing, not even Pulumi's state.

    Raises `PulumiMissing`, `PulumiFailed`, `StackNotDeployed`.
    """
    found = engine_events.run("refresh", "--preview-only", stack=stack, root=root, seconds=_SECONDS)
    return Drift(stack=stack, resources=found)


def body(drift: Drift, mark: str) -> str:
    """The issue's text, not longer than GitHub accepts; `mark` is its first line."""
    lines = [
        mark,
        f"What is deployed in stack {escape(drift.stack)} differs from what was last deployed by `pulumi up`.",
        "",
        f"To undo it: `pulumi up --refresh --stack {escape(drift.stack)}`. To keep it: put it into the program or its "
        f"settings. This issue is closed when nothing differs any more.",
        "",
    ]
    text = "\n".join(lines) + "\n"
    for place, resource in enumerate(drift.resources):
        part = "".join(f"{line}\n" for line in _resource(resource))
        if len(text) + len(part) > LIMIT - _LAST_LINE:
            left = len(drift.resources) - place
            return f"{text}… and {left} more: `petpark state drift --stack {escape(drift.stack)}` lists all.\n"
        text += part
    return text


def _resource(resource: Done) -> Iterator[str]:
    what = {"delete": "is gone", "update": "was changed"}.get(resource.op, f"needs {resource.op}")
    yield f"- {code(resource.name)} ({escape(resource.type)}) {what}"
    for each in _some(resource):
        yield f"  - {code(each.path)}: {_value(each.before)} → {_value(each.after)}"
    if len(resource.properties) > _PROPERTIES:
        yield f"  - … and {len(resource.properties) - _PROPERTIES} more properties"


def _some(resource: Done) -> Sequence[engine_events.PropertyChange]:
    return resource.properties[:_PROPERTIES]


def _value(value: str | None) -> str:
    if value is None:
        return "nothing"
    return code(value if len(value) <= _CHARACTERS else f"{value[:_CHARACTERS]}…")
