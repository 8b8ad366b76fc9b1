"""Comparison of two values of a property: JSON leaf by leaf, text line by line. Pure."""

from __future__ import annotations

import base64
import binascii
import difflib
import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from petpark.preview.plan import PropertyChange

_CONTEXT: Final = 1
"""Lines of context around a changed one."""
_MOST: Final = 4_000_000
"""Maximum product of both texts' line counts; the time of a comparison grows with it."""
_MOST_ELEMENTS: Final = 40_000
_DEEPEST: Final = 100  # maximum levels of a document
"""The same for elements of lists; equal elements are the slowest case."""
_LONGEST: Final = 200_000
"""Maximum characters of a JSON document that is compared leaf by leaf; IAM's longest policy has 10,240."""


@dataclass(frozen=True, kw_only=True)
class TextChange:
    """A text of several lines that differs, as the lines of a unified diff without headers."""

    path: str
    lines: tuple[str, ...]
    forces: bool


@functools.lru_cache(maxsize=1 << 16)
def compare(change: PropertyChange) -> tuple[PropertyChange | TextChange, ...]:
    """Returns `change` in its smallest parts: leaves of a JSON document, or lines of a text.

    Longer or deeper values are one part. A page is made several times, so results are cached.
    """
    before, after = _decoded(change.before), _decoded(change.after)
    if before is not None and after is not None:
        old, new = _document(before), _document(after)
        if old is not None and new is not None:
            return tuple(_leaves(change.path, old, new, forces=change.forces))
        sides = before.splitlines(), after.splitlines()
        if ("\n" in before or "\n" in after) and len(sides[0]) * len(sides[1]) <= _MOST:
            lines = difflib.unified_diff(*sides, n=_CONTEXT, lineterm="")
            return (TextChange(path=change.path, lines=tuple(lines)[2:], forces=change.forces),)
    return (PropertyChange(path=change.path, before=before, after=after, forces=change.forces),)


def _decoded(value: str | None) -> str | None:
    """Returns the script in Base64-encoded user data."""
    if value is None or len(value) < 16 or not value.isascii():
        return value
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value
    return text if text.startswith("#") and "\n" in text else value


def _document(text: str) -> dict[str, Any] | list[Any] | None:
    if len(text) > _LONGEST or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, (dict, list)) and not _deeper_than(found, _DEEPEST) else None


def _deeper_than(value: Any, levels: int) -> bool:
    level: list[Any] = [value]
    for _ in range(levels + 1):
        level = [each for one in level for each in (one.values() if isinstance(one, dict) else one)]
        level = [each for each in level if isinstance(each, (dict, list))]
        if not level:
            return False
    return True


def _leaves(path: str, old: Any, new: Any, *, forces: bool) -> Iterator[PropertyChange]:
    """Leaves that differ. List elements are matched by content first, so that an insertion does not shift others."""
    if _spelled(old) == _spelled(new):  # not `==`: true and 1 are equal in Python, but not in JSON
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _leaves(f"{path}.{key}", old.get(key, _NOTHING), new.get(key, _NOTHING), forces=forces)
    elif isinstance(old, list) and isinstance(new, list) and len(old) * len(new) <= _MOST_ELEMENTS:
        yield from _elements(path, old, new, forces=forces)
    else:
        yield PropertyChange(path=path, before=_text(old), after=_text(new), forces=forces)


def _elements(path: str, old: Sequence[Any], new: Sequence[Any], *, forces: bool) -> Iterator[PropertyChange]:
    spelled = [[_spelled(each) for each in side] for side in (old, new)]
    for op, a, b, c, d in difflib.SequenceMatcher(None, *spelled, autojunk=False).get_opcodes():
        if op == "equal":
            continue
        for place in range(max(b - a, d - c)):
            before = old[a + place] if a + place < b else _NOTHING
            after = new[c + place] if c + place < d else _NOTHING
            shown = c + place if after is not _NOTHING else a + place
            yield from _leaves(f"{path}[{shown}]", before, after, forces=forces)


class _Nothing:
    """Stands for a missing value."""


_NOTHING: Final = _Nothing()


def _spelled(value: Any) -> str | None:
    return None if isinstance(value, _Nothing) else json.dumps(value, sort_keys=True)


def _text(value: Any) -> str | None:
    if isinstance(value, _Nothing):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
