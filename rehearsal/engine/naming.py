"""Names across the border: Terraform's snake_case fields and the SDK's camelCase properties."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Names:
    """How the fields of one block are called in the SDK; a field that the SDK lacks is in neither map."""

    to_sdk: Mapping[str, str]
    to_terraform: Mapping[str, str]


def match(fields: Iterable[str], properties: Iterable[str], spelled: Mapping[str, str]) -> Names:
    """Pair Terraform's `fields` with the SDK's `properties`.

    `spelled` decides first, then the exact camelCase spelling, then the plural or singular of it, as the bridge
    pluralises lists and singularises what it flattens. Exact spellings go before plurals, or a block `timeouts`
    would take the attribute `timeout` of its neighbour.
    """
    fields, free = list(fields), set(properties)
    to_sdk: dict[str, str] = {}

    def pair(field: str, property_: str) -> None:
        to_sdk[field] = property_
        free.discard(property_)

    for field in fields:
        if spelled.get(field) in free:
            pair(field, spelled[field])
    for field in fields:
        if field not in to_sdk and camel(field) in free:
            pair(field, camel(field))
    for field in fields:
        if field not in to_sdk:
            found = next((camel(other) for other in inflections(field) if camel(other) in free), None)
            if found is not None:
                pair(field, found)
    return Names(to_sdk=to_sdk, to_terraform={property_: field for field, property_ in to_sdk.items()})


def camel(name: str) -> str:
    """`user_data_base64` -> `userDataBase64`."""
    first, *rest = [part for part in name.split("_") if part] or [name]
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def snake(name: str) -> str:
    """`vpcId` -> `vpc_id`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def inflections(name: str) -> Iterator[str]:
    """Plurals and singulars of a field name."""
    yield f"{name}s"
    yield f"{name}es"
    for ending, other in (("y", "ies"), ("is", "es"), ("ex", "ices"), ("ix", "ices"), ("um", "a")):
        if name.endswith(ending):
            yield name.removesuffix(ending) + other
    for ending, other in (("ies", "y"), ("es", ""), ("s", "")):
        if name.endswith(ending):
            yield name.removesuffix(ending) + other
