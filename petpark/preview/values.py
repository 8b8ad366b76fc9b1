"""Two values of a property, compared as what they are: JSON leaf by leaf, text line by line. Pure."""

from __future__ import annotations

import base64
import binascii
import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from petpark.preview.plan import PropertyChange

_CONTEXT: Final = 1
"""Lines around a changed one."""


@dataclass(frozen=True, kw_only=True)
class TextChange:
    """A text of several lines that differs: the lines of a unified diff, without its headers."""

    path: str
    lines: tuple[str, ...]
    forces: bool


def compare(change: PropertyChange) -> list[PropertyChange | TextChange]:
    """`change` in the smallest parts that a reader can judge: those of a JSON document, or lines of a text."""
    before, after = _decoded(change.before), _decoded(change.after)
    if before is not None and after is not None:
        old, new = _document(before), _document(after)
        if old is not None and new is not None:
            return list(_leaves(change.path, old, new, forces=change.forces))
        if "\n" in before or "\n" in after:
            lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=_CONTEXT, lineterm="")
            return [TextChange(path=change.path, lines=tuple(lines)[2:], forces=change.forces)]
    return [PropertyChange(path=change.path, before=before, after=after, forces=change.forces)]


def _decoded(value: str | None) -> str | None:
    """Base64 of a script, as user data is, as the script."""
    if value is None or len(value) < 16 or not value.isascii():
        return value
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value
    return text if text.startswith("#") and "\n" in text else value


def _document(text: str) -> dict[str, Any] | list[Any] | None:
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, (dict, list)) else None


def _leaves(path: str, old: Any, new: Any, *, forces: bool) -> Iterator[PropertyChange]:
    """Leaves that differ. Elements of a list are matched by content first, so that one more moves no other."""
    if _spelled(old) == _spelled(new):  # not `==`: true and 1 are equal in Python, and not in JSON
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _leaves(f"{path}.{key}", old.get(key, _NOTHING), new.get(key, _NOTHING), forces=forces)
    elif isinstance(old, list) and isinstance(new, list):
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
    """Where one of both has no value."""


_NOTHING: Final = _Nothing()


def _spelled(value: Any) -> str | None:
    return None if isinstance(value, _Nothing) else json.dumps(value, sort_keys=True)


def _text(value: Any) -> str | None:
    if isinstance(value, _Nothing):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
