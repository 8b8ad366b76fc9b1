"""What to do with one resource: decisions only, no calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rehearsal.engine.bridge import Kind
from rehearsal.engine.provider import Path
from rehearsal.engine.record import Record
from rehearsal.engine.values import Fields

type Decision = Literal["same", "create", "update", "replace"]

_MISSING = object()
_PATH_STEP = re.compile(r"""\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.\[\]"]+)""")


def decide(
    prior: Fields | None, planned: Fields | None, replaces: Sequence[Path], *, tainted: bool = False
) -> Decision:
    """The step from `prior` to `planned`.

    A replacement if a path in `replaces` really differs, or if the creation had failed half way (`tainted`).
    """
    if prior is None or planned is None:
        return "create"
    if tainted:
        return "replace"
    if prior == planned:
        return "same"
    return "replace" if any(at(prior, path) != at(planned, path) for path in replaces) else "update"


def replaced_fields(prior: Fields | None, planned: Fields | None, replaces: Sequence[Path]) -> frozenset[str]:
    """The top-level fields that force a replacement."""
    return frozenset(str(path[0]) for path in replaces if path and at(prior, path) != at(planned, path))


def deletes_before_replacing(kind: Kind, old: Record, inputs: Mapping[str, Any], wish: bool | None) -> bool:
    """Whether the old resource must go first: by the program's wish, or because both would have one name.

    The bridge's rule: a name that the program chose and did not change cannot exist twice.
    """
    if wish is not None:
        return wish
    if old.tainted:
        return True
    if kind.row.autoname is None:
        return False
    name = kind.property_of(kind.row.autoname.field)
    return name in inputs and old.autonamed != name and old.inputs.get(name) == inputs[name]


def ignore_changes(inputs: Fields, old: Mapping[str, Any], paths: Sequence[str]) -> Fields:
    """`inputs` with what lies at `paths` as it was in `old`, or absent as it was."""
    result: Any = inputs
    for path in paths:
        steps = property_path(path)
        result = _with(result, steps, at(old, steps, _MISSING))
    return result


def ignored(path: str, paths: Sequence[str]) -> bool:
    """Whether `path` is one of the property paths `paths`, or lies below one."""
    here = property_path(path)
    return any(here[: len(steps)] == steps for steps in map(property_path, paths))


def property_path(path: str) -> Path:
    """The steps of a Pulumi property path: `tags.owner`, `rules[0].id`, `tags["a.b"]`."""
    return tuple(
        int(index) if index else quoted.replace('\\"', '"') if quoted else name
        for index, quoted, name in _PATH_STEP.findall(path)
    )


def at(value: Any, path: Path, default: Any = None) -> Any:
    """What lies at `path` in `value`, or `default`."""
    for step in path:
        inner: Mapping[Any, Any] = (
            value if isinstance(value, Mapping) else dict(enumerate(value)) if isinstance(value, list) else {}
        )
        if step not in inner:
            return default
        value = inner[step]
    return value


def _with(value: Any, path: Path, inner: Any) -> Any:
    """A copy of `value` with `inner` at `path`; `_MISSING` removes what is there."""
    if not path:
        return inner
    first, rest = path[0], path[1:]
    if isinstance(value, list) and isinstance(first, int) and first < len(value):
        if not rest and inner is _MISSING:
            return value[:first] + value[first + 1 :]
        return [*value[:first], _with(value[first], rest, inner), *value[first + 1 :]]
    if not isinstance(value, Mapping):
        return value
    if not rest and inner is _MISSING:
        return {name: item for name, item in value.items() if name != first}
    if rest and first not in value:
        return dict(value)
    return {**value, str(first): _with(value.get(first), rest, inner)}
