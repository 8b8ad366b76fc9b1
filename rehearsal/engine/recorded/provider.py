"""What only the provider knows of a change: which properties force a replacement, and what is known afterwards.

The provider is started for plans alone, with nothing to sign in with and nobody to ask: credential, account and
region checks are skipped, and no service listens at its endpoints.
https://registry.terraform.io/providers/hashicorp/aws/5.100.0/docs#argument-reference
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rehearsal.engine import plan as planning
from rehearsal.engine.provider.binary import find_provider
from rehearsal.engine.provider.client import Plugin, Provider
from rehearsal.engine.state import Record
from rehearsal.engine.translation.resources import AssetFolder, Kind, Resources, provider_config
from rehearsal.engine.values import ASSET, SIGNATURE, UNKNOWN, Fields

_OFFLINE: Final[Fields] = {
    "maxRetries": 1,
    "s3UsePathStyle": True,
    "skipCredentialsValidation": True,
    "skipMetadataApiCheck": True,
    "skipRegionValidation": True,
    "skipRequestingAccountId": True,
}


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A resource as a record has it: its id, and the properties that the program gave and saw."""

    id: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """The provider's plan of a change, in the SDK's names."""

    forcing: frozenset[str]
    """Top-level properties that force a replacement."""
    unknown: frozenset[str]
    """Top-level properties that are known only afterwards."""


class OfflineProvider:
    """The AWS provider binary, for plans of single resources; from any thread."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def foresee(self, old: Recorded, wanted: Record) -> Foreseen:
        """The plan from `old` to `wanted`; raises `EngineError` where the provider cannot plan it."""
        resources, kind = self._resources, self._resources.kind(wanted.type)
        fields = resources.prior(kind, _plain(old.inputs) | _plain(old.outputs)) | {"id": old.id}
        config = resources.config(kind, _with_name(kind, wanted.inputs, old))
        plan = resources.provider.plan(kind.schema, fields, config)
        planned = plan.state or {}
        return Foreseen(
            forcing=frozenset(map(kind.property_of, planning.replaced_fields(fields, planned, plan.replaces))),
            unknown=frozenset(kind.property_of(field) for field, value in planned.items() if value is UNKNOWN),
        )


@contextmanager
def offline_provider(directory: Path, region: str) -> Generator[OfflineProvider]:
    """A provider for the program in `directory`; raises `ProviderMissing`, `ProviderChanged`, `ProviderFailed`."""
    binary = find_provider()
    # Bound and not listening: a connection is refused at once, and no other program can take the port meanwhile.
    with tempfile.TemporaryDirectory(prefix="petpark-") as folder, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        plugin = Plugin(binary, scratch=Path(folder))
        try:
            provider = Provider(plugin)
            endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            provider.configure(provider_config(provider.config_block, {**_OFFLINE, "region": region}, endpoint))
            assets = AssetFolder(Path(folder), project=directory)
            yield OfflineProvider(Resources(provider, assets=assets, region=region))
        finally:
            plugin.close()


def _plain(values: Mapping[str, Any]) -> Fields:
    """Recorded properties as the codec takes them: an asset is the path that its content has, a secret is left out."""
    return {name: _value(value) for name, value in values.items() if not name.startswith("__")}


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == ASSET:
            return f"assets/{value.get('hash', '')}"
        return None if SIGNATURE in value else _plain(value)
    return [_value(each) for each in value] if isinstance(value, list) else value


def _with_name(kind: Kind, inputs: Mapping[str, Any], old: Recorded) -> Mapping[str, Any]:
    """`inputs` with the name that the resource was given, if the program gives none: it keeps it."""
    rule = kind.row.autoname
    if rule is None:
        return inputs
    name = kind.property_of(rule.field)
    if name in inputs or f"{name}Prefix" in inputs or name not in old.outputs:
        return inputs
    return {**inputs, name: old.outputs[name]}
