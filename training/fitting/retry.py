"""Writes with retries while the store is unreachable, for background threads."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from registry.errors import ObjectExists, StoreUnavailable
from registry.store.object_store import ObjectStore

PAUSES: Final = (1.0, 4.0, 15.0)
"""Seconds between tries."""


def create_with_retries(
    store: ObjectStore, key: str, body: bytes, *, pauses: tuple[float, ...], pause: Callable[[float], None]
) -> None:
    """Create an object, trying once more after each of `pauses`; StoreUnavailable after the last, StoreRefused at once.

    An existing one stays: another writer wrote the same.
    """
    for seconds in (*pauses, None):
        try:
            with suppress(ObjectExists):
                store.create(key, body)
        except StoreUnavailable:
            if seconds is None:
                raise
            pause(seconds)
        else:
            return
