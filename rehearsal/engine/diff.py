"""Differences between two states of a resource, property by property."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rehearsal.engine.events import SECRET_TEXT, UNKNOWN_TEXT, Change
from rehearsal.engine.values import UNKNOWN, Fields

_ABSENT = object()


def changes(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    secrets: frozenset[str] = frozenset(),
    replaces: frozenset[str] = frozenset(),
) -> tuple[Change, ...]:
    """What differs from `old` to `new`, sorted by path; values of top-level names in `secrets` are not told.

    `replaces` names the top-level properties that cannot change in place.
    """
    found: list[Change] = []
    for path, before, after in sorted(_leaves(old, new, ""), key=lambda leaf: leaf[0]):
        top = _top(path)
        kind = "add" if before is _ABSENT else "delete" if after is _ABSENT else "update"
        found.append(
            Change(
                path=path,
                kind=f"{kind}-replace" if top in replaces else kind,
                old=_told(before, top in secrets),
                new=_told(after, top in secrets),
            )
        )
    return tuple(found)


def shown(values: Mapping[str, Any], secrets: frozenset[str]) -> Fields:
    """`values` as they may be told: secrets and unknowns by their marks."""
    return {name: _told(value, name in secrets) for name, value in values.items()}


def _leaves(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if old is UNKNOWN or new is UNKNOWN:
        if old is not new:
            yield path, old, new
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in {**old, **new}:
            here = f"{path}.{name}" if path else str(name)
            yield from _leaves(old.get(name, _ABSENT), new.get(name, _ABSENT), here)
    elif isinstance(old, list) and isinstance(new, list):
        for i in range(max(len(old), len(new))):
            before = old[i] if i < len(old) else _ABSENT
            after = new[i] if i < len(new) else _ABSENT
            yield from _leaves(before, after, f"{path}[{i}]")
    elif old != new and not (_empty(old) and _empty(new)):
        yield path, old, new


def _empty(value: Any) -> bool:
    """Whether it counts as "not set": the bridge does not tell an absent list from an empty one."""
    return value is _ABSENT or value is None or value in ({}, [])


def _top(path: str) -> str:
    return path.split(".", 1)[0].split("[", 1)[0]


def _told(value: Any, secret: bool) -> Any:
    if value is _ABSENT or value is None:
        return None
    if secret:
        return SECRET_TEXT
    if value is UNKNOWN:
        return UNKNOWN_TEXT
    if isinstance(value, Mapping):
        return {name: _told(inner, False) for name, inner in value.items()}
    return [_told(inner, False) for inner in value] if isinstance(value, list) else value
