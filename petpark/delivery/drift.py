"""Drift: deployed resources that differ from Pulumi's state, because a person or AWS changed them."""

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
"""Maximum number of properties per resource in the issue."""
_LAST_LINE: Final = 300
_CHARACTERS: Final = 300
"""Maximum length of a value in the issue, in characters."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The drift of one stack; `resources` is empty if there is none."""

    stack: str
    resources: tuple[Done, ...]


def examine(stack: str, root: Path) -> Drift:
    """Returns the drift of a stack: reads all its resources from AWS and changes nothing, not even Pulumi's state.

    Raises `PulumiMissing`, `PulumiFailed`, `StackNotDeployed`.
    """
    found = engine_events.run("refresh", "--preview-only", stack=stack, root=root, seconds=_SECONDS)
    return Drift(stack=stack, resources=found)


def body(drift: Drift, mark: str) -> str:
    """Returns the issue's text, at most as long as GitHub accepts; `mark` is its first line."""
    lines = [
        mark,
        f"Stack {escape(drift.stack)} differs from what `pulumi up` deployed last.",
        "",
        f"To undo it: `pulumi up --refresh --stack {escape(drift.stack)}`. To keep it: change the program or its "
        f"settings. This issue is closed when there is no difference.",
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
    what = {"delete": "was deleted", "update": "was changed"}.get(resource.op, f"needs {resource.op}")
    yield f"- {code(resource.name)} ({escape(resource.type)}) {what}"
    for each in _first_properties(resource):
        yield f"  - {code(each.path)}: {_value(each.before)} → {_value(each.after)}"
    if len(resource.properties) > _PROPERTIES:
        yield f"  - … and {len(resource.properties) - _PROPERTIES} more properties"


def _first_properties(resource: Done) -> Sequence[engine_events.PropertyChange]:
    return resource.properties[:_PROPERTIES]


def _value(value: str | None) -> str:
    if value is None:
        return "nothing"
    return code(value if len(value) <= _CHARACTERS else f"{value[:_CHARACTERS]}…")
