"""The registry's content for callers without an API key: active versions, without personal data.

Anyone who reaches an open endpoint can read it, so names of people and their notes must not be public.
"""

from typing import cast

PERSONAL = frozenset({"by", "why", "note", "despite", "reasons", "requested_by", "trained_by"})
"""Fields of the registry's records with names or notes of people."""

HIDDEN_ERROR = "Details are shown to callers with an API key."


def without_personal_fields(record: object) -> object:
    """Returns the record without personal fields, at any depth, and without the registry's errors, which quote them."""
    if isinstance(record, dict):
        fields = cast("dict[str, object]", record)
        return {name: _field(name, value) for name, value in fields.items() if name not in PERSONAL}
    if isinstance(record, list):
        return [without_personal_fields(each) for each in cast("list[object]", record)]
    return record


def _field(name: str, value: object) -> object:
    return HIDDEN_ERROR if name == "error" and value is not None else without_personal_fields(value)
