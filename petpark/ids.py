"""Finds ids by their first characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from petpark.errors import IdAmbiguous

if TYPE_CHECKING:
    from registry.store.object_store import ObjectStore

_SHOWN = 10


def complete(kind: str, beginning: str, ids: Iterable[str], *, listing: str) -> str:
    """The one of `ids` that begins so, or is just that; `beginning` itself where none is, for the reader to refuse.

    `kind` and the command `listing` are for the sentence. Raises `IdAmbiguous`, with the candidates.
    """
    found = sorted({each for each in ids if each.startswith(beginning)})
    if not beginning or not found or beginning in found:
        return beginning
    if len(found) == 1:
        return found[0]
    shown = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
    raise IdAmbiguous(
        f"{len(found)} {kind} begin with {beginning!r}: {shown}.",
        next_step=f"Use more characters; {listing} shows all.",
        candidates=found,
    )


def folders(store: ObjectStore, prefix: str, beginning: str) -> Iterator[str]:
    """Names directly below `prefix` that begin so, one request each, however many objects they have."""
    after = ""
    while (key := next(iter(store.keys(f"{prefix}{beginning}", after=after)), None)) is not None:
        name, within, _ = key.removeprefix(prefix).partition("/")
        yield name
        after = f"{prefix}{name}0" if within else key  # the character behind a slash: past all that lies in there
