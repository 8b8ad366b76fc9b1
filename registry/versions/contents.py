"""What one listing of a model's registry finds, kept in a few bytes an object."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from registry.layout.model_store import Prefix
from registry.store.object_store import ObjectStore

_NUMBERED = r"\d{8}\.json"
_KEYS: Mapping[Prefix, re.Pattern[str]] = {
    Prefix.BLOBS: re.compile(r"sha256/(?P<name>[0-9a-f]{64})"),
    Prefix.VERSIONS: re.compile(rf"(?P<name>{_NUMBERED})"),
    Prefix.CHANNELS: re.compile(rf"(?P<name>[a-z0-9][a-z0-9-]{{0,62}})/{_NUMBERED}"),
    Prefix.EXPERIMENTS: re.compile(rf"(?P<name>[a-z0-9][a-z0-9-]{{0,62}})/{_NUMBERED}"),
    Prefix.CERTIFICATES: re.compile(rf"(?P<name>\d{{8}}/{_NUMBERED})"),
    Prefix.REPAIRS: re.compile(rf"(?P<name>{_NUMBERED})"),
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
            kind, _, rest = stored.key.removeprefix(f"{model}/").partition("/")
            match = _KEYS[Prefix(kind)].fullmatch(rest) if kind in set(Prefix) else None
            if match is None:
                found.foreign.append(stored.key)
            else:
                found.bytes += stored.bytes
                found._add(Prefix(kind), match["name"], stored.bytes)
        return found

    def _add(self, kind: Prefix, name: str, size: int) -> None:
        match kind:
            case Prefix.BLOBS:
                self.blobs[bytes.fromhex(name)] = size
            case Prefix.VERSIONS:
                self._number(self.versions, name)
            case Prefix.CERTIFICATES:
                version, _, entry = name.partition("/")
                self._number(self.certificates.setdefault(int(version), []), entry)
            case Prefix.CHANNELS:
                self.channels.add(name)
            case Prefix.EXPERIMENTS:
                self.experiments.add(name)
            case Prefix.REPAIRS:
                pass

    @staticmethod
    def _number(numbers: list[int], name: str) -> None:
        if number := int(name[:_NUMBER]):
            numbers.append(number)
