"""Which role may create, read and delete what in the model store."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from registry.layout.model_store import API_KEYS, Prefix, object_prefix


class Role(StrEnum):
    """Roles that act on the registry. All may read; exactly one role may add to each prefix."""

    PUBLISHER = "publisher"
    CERTIFIER = "certifier"
    PROMOTER = "promoter"
    READER = "reader"
    COLLECTOR = "collector"
    REPAIRER = "repairer"


_CREATED: Mapping[Role, tuple[Prefix, ...]] = MappingProxyType(
    {
        Role.PUBLISHER: (Prefix.BLOBS, Prefix.VERSIONS),
        Role.CERTIFIER: (Prefix.CERTIFICATES,),
        Role.PROMOTER: (Prefix.CHANNELS, Prefix.EXPERIMENTS),
        Role.READER: (),
        Role.COLLECTOR: (),
        Role.REPAIRER: (Prefix.REPAIRS,),
    }
)


_NUMBERED = "0???????.json"
"""An entry's name as an IAM pattern. Numbers end before 10,000,000: a log could not continue after a greater one.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""
_NAMES_BELOW: Mapping[Prefix, str] = MappingProxyType(
    {
        Prefix.BLOBS: "sha256/*",
        Prefix.VERSIONS: _NUMBERED,
        Prefix.CERTIFICATES: f"0???????/{_NUMBERED}",
        Prefix.CHANNELS: f"*/{_NUMBERED}",
        Prefix.EXPERIMENTS: f"*/{_NUMBERED}",
        Prefix.REPAIRS: _NUMBERED,
    }
)


def creates(role: Role, model: str) -> tuple[str, ...]:
    """Keys of the model store that `role` may create, as patterns of IAM."""
    registry = tuple(f"{object_prefix(model, prefix)}{_NAMES_BELOW[prefix]}" for prefix in _CREATED[role])
    return (*registry, f"{API_KEYS}*/{_NUMBERED}") if role is Role.PROMOTER else registry


def reads(role: Role, model: str) -> tuple[str, ...]:
    """Prefixes of the model store under which `role` may read objects."""
    return (f"{model}/", API_KEYS) if role in (Role.PROMOTER, Role.READER) else (f"{model}/",)


def deletes(role: Role, model: str) -> tuple[str, ...]:
    """Prefixes of the model store under which `role` may delete objects: the collector's unreferenced blobs."""
    return (object_prefix(model, Prefix.BLOBS),) if role is Role.COLLECTOR else ()
