"""A declared resource as rules see it: from the program, a preview's JSON, or the engine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Final


class _Unknown(Enum):
    """The type of `UNKNOWN`."""

    VALUE = "known after the deployment"


UNKNOWN: Final = _Unknown.VALUE
"""Stands in properties for a value that is known only after the deployment, or is secret."""


class Undecided(Exception):
    """A rule cannot be decided; the message says why."""


class NotKnown(Undecided):
    """A rule needs a value that is `UNKNOWN`."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is known only after the deployment")


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource of a stack."""

    type: str
    """Type token, such as `aws:s3/bucket:Bucket`."""
    name: str
    urn: str
    properties: Mapping[str, Any]
    """Names as Pulumi's schema has them (`httpTokens`); values are plain JSON, or `UNKNOWN`."""
    protect: bool = False
    retain: bool | None = False
    """`retainOnDelete`; None if unknown."""
    refers: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    """URNs of the resources that each property's value comes from."""

    @property
    def kind(self) -> str:
        """Module and name without versions: `aws:s3/bucketV2:BucketV2` is an `s3.Bucket`; empty if not of AWS."""
        package, _, rest = self.type.partition(":")
        module, _, name = rest.partition(":")
        if package != "aws" or not name:
            return ""
        return f"{module.partition('/')[0]}.{name.removesuffix('V2').removesuffix('v2')}"

    def get(self, *path: str) -> Any:
        """The value at a path, or None if there is none. Raises `NotKnown` for one that is not known yet."""
        return value(self.properties, *path)

    def items(self, *path: str) -> list[Any]:
        """The list at a path, empty if there is none. Raises `NotKnown`."""
        return known_items(self.get(*path), ".".join(path))


def value(properties: Any, *path: str) -> Any:
    """The value at a path, or None if there is none. Raises `NotKnown`."""
    found = properties
    for position, part in enumerate(path, start=1):
        found = found.get(part) if isinstance(found, Mapping) else None
        if found is UNKNOWN:
            raise NotKnown(".".join(path[:position]))
    return found


def known_items(found: Any, where: str) -> list[Any]:
    """The items of a list, or a single value as a list of one. Raises `NotKnown` if any is not known."""
    if found is None:
        return []
    items: list[Any] = list(found) if isinstance(found, list | tuple) else [found]
    if UNKNOWN in items:
        raise NotKnown(where)
    return items


@dataclass(frozen=True)
class Stack:
    """All resources of a stack, and how to find one that is about another."""

    resources: tuple[Resource, ...]

    def of(self, *kinds: str) -> Iterator[Resource]:
        """Every resource of these kinds."""
        return (resource for resource in self.resources if resource.kind in kinds)

    def about(self, target: Resource, kind: str, *properties: str) -> list[Resource]:
        """Resources of a kind whose property refers to `target`: by dependency, or by its name or id."""
        return [one for one in self.of(kind) if any(_refers(one, name, target) for name in properties)]


def _refers(one: Resource, name: str, target: Resource) -> bool:
    if target.urn in one.refers.get(name, ()):
        return True
    named = one.properties.get(name)
    texts = [item for item in (named if isinstance(named, list) else [named]) if isinstance(item, str)]
    return any(target.properties.get(key) in texts for key in ("id", "bucket", "name"))
