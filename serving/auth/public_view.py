"""What callers without an API key may read of the registry: the active versions, and nothing that names a person.

An open endpoint answers everybody who reaches it; names of colleagues and what they write to each other are not for
everybody.
"""

from typing import cast

PERSONAL = frozenset({"by", "why", "note", "despite", "reasons", "requested_by", "trained_by"})
"""Fields of the registry's records that say who decided something, or hold what a person wrote."""

HIDDEN_ERROR = "Details are shown to callers with an API key."


def for_strangers(told: object) -> object:
    """Leave out the personal fields, at any depth; errors of the registry repeat authors and notes, so they go too."""
    if isinstance(told, dict):
        fields = cast("dict[str, object]", told)
        return {name: _field(name, value) for name, value in fields.items() if name not in PERSONAL}
    if isinstance(told, list):
        return [for_strangers(each) for each in cast("list[object]", told)]
    return told


def _field(name: str, value: object) -> object:
    return HIDDEN_ERROR if name == "error" and value is not None else for_strangers(value)
