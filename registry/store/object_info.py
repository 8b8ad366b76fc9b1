"""What a store says about its objects without sending them."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """An object: its key, its size, and how long it has been there, all by the store's own account."""

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
