"""Writes that wait out a store which is away for a while, for threads that nobody waits for."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from registry.errors import ObjectExists, StoreUnavailable
from registry.store.object_store import ObjectStore

PAUSES: Final = (1.0, 4.0, 15.0)
"""Seconds between tries."""


def create_patiently(
    store: ObjectStore, key: str, body: bytes, *, pauses: tuple[float, ...], pause: Callable[[float], None]
) -> None:
    """Create an object, trying once more after each of `pauses`; StoreUnavailable after the last, StoreRefused at once.

    One that is there already stays: anyone who wrote it had the same to say.
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
