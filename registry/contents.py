"""What one listing of a model's registry finds, kept in a few bytes an object."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from registry.layout import Shelf
from registry.object_store import ObjectStore

_NUMBERED = r"\d{8}\.json"
_SHELVES: Mapping[Shelf, re.Pattern[str]] = {
    Shelf.BLOBS: re.compile(r"sha256/(?P<name>[0-9a-f]{64})"),
    Shelf.VERSIONS: re.compile(rf"(?P<name>{_NUMBERED})"),
    Shelf.CHANNELS: re.compile(rf"(?P<name>[a-z0-9][a-z0-9-]{{0,62}})/{_NUMBERED}"),
    Shelf.EXPERIMENTS: re.compile(rf"(?P<name>[a-z0-9][a-z0-9-]{{0,62}})/{_NUMBERED}"),
    Shelf.CERTIFICATES: re.compile(rf"(?P<name>\d{{8}}/{_NUMBERED})"),
    Shelf.REPAIRS: re.compile(rf"(?P<name>{_NUMBERED})"),
}
_NUMBER = 8
"""Digits of a number in a key."""


@dataclass(kw_only=True)
class Contents:
    """The objects of a registry. Entries of channels and experiments are not kept: their logs are read one by one."""

    blobs: dict[bytes, int] = field(default_factory=dict[bytes, int])
    """SHA-256 -> size in bytes."""
    versions: list[int] = field(default_factory=list[int])
    certificates: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    """Version -> numbers of the entries about it, ascending."""
    channels: set[str] = field(default_factory=set[str])
    experiments: set[str] = field(default_factory=set[str])
    foreign: list[str] = field(default_factory=list[str])
    """Keys that fit nowhere."""
    bytes: int = 0

    @classmethod
    def of(cls, store: ObjectStore, model: str) -> "Contents":
        """List everything of `model`: a request for each 1,000 objects."""
        found = cls()
        for stored in store.stats(f"{model}/"):
            shelf, _, rest = stored.key.removeprefix(f"{model}/").partition("/")
            match = _SHELVES[Shelf(shelf)].fullmatch(rest) if shelf in set(Shelf) else None
            if match is None:
                found.foreign.append(stored.key)
            else:
                found.bytes += stored.bytes
                found._add(Shelf(shelf), match["name"], stored.bytes)
        return found

    def _add(self, shelf: Shelf, name: str, size: int) -> None:
        match shelf:
            case Shelf.BLOBS:
                self.blobs[bytes.fromhex(name)] = size
            case Shelf.VERSIONS:
                self._number(self.versions, name)
            case Shelf.CERTIFICATES:
                version, _, entry = name.partition("/")
                self._number(self.certificates.setdefault(int(version), []), entry)
            case Shelf.CHANNELS:
                self.channels.add(name)
            case Shelf.EXPERIMENTS:
                self.experiments.add(name)
            case Shelf.REPAIRS:
                pass

    @staticmethod
    def _number(numbers: list[int], name: str) -> None:
        if number := int(name[:_NUMBER]):
            numbers.append(number)
