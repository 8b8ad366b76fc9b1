"""Metadata of a store's objects."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """An object: its key, size and age, as the store reports them."""

    key: str
    bytes: int
    age: timedelta
    """By the store's own clock, so that no machine of ours can make it older or younger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """One of the states that a key has had; `deleted` is the state of not being there any more."""

    key: str
    latest: bool
    deleted: bool
