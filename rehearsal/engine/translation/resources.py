"""Between the program's resources and the provider's: the right schema, names and values for each type."""

import hashlib
import os
import secrets as randomness
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rehearsal.engine.errors import ConfigurationRefused, Unsupported
from rehearsal.engine.provider.client import Provider
from rehearsal.engine.provider.schema import Block, Nesting, Schema
from rehearsal.engine.state import ProviderState, Record
from rehearsal.engine.translation import names
from rehearsal.engine.translation.codec import Codec
from rehearsal.engine.translation.type_table import DATA_SOURCES, RESOURCES, Autoname, ResourceType
from rehearsal.engine.values import UNKNOWN, Fields, is_asset

_ASSETS = "assets"
_REGION = "region"
_TABLE = (
    "it is not in its reviewed table (rehearsal/engine/translation/type_table.py). Add a row there, or rehearse with "
    "the Pulumi CLI."
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Everything known about one resource type."""

    row: ResourceType
    schema: Schema
    shapes: names.Shapes
    names: names.Names

    def property_of(self, field: str) -> str:
        """How the SDK calls a top-level Terraform field."""
        return self.names.to_sdk.get(field, names.camel(field))


class AssetFolder:
    """Turns assets of a program in `project` into files below `directory`, the provider's working directory.

    The provider sees the path `assets/<sha256>`, so the path changes exactly when the content does, wherever the
    project lies, and that is how a change of content is noticed.
    """

    def __init__(self, directory: Path, *, project: Path) -> None:
        self._directory = directory
        self._project = project

    def materialise(self, asset: Mapping[str, Any]) -> str:
        """The path, relative to `directory`, of a file with the content of `asset`, which is a file or a text."""
        if "text" in asset:
            return self._link(hashlib.sha256(asset["text"].encode()).hexdigest(), text=asset["text"])
        if not asset.get("path"):
            raise Unsupported("The embedded engine supports assets from a file or a string only.")
        path = self._project / asset["path"]
        if not path.is_file():
            raise Unsupported(f"The asset {asset['path']!r} is not a file in the project directory.")
        with path.open("rb") as file:
            return self._link(hashlib.file_digest(file, "sha256").hexdigest(), to=path.resolve())

    def _link(self, digest: str, *, text: str = "", to: Path | None = None) -> str:
        link = self._directory / _ASSETS / digest
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            temporary = link.with_suffix(f".{os.urandom(4).hex()}")
            if to is None:
                temporary.write_text(text, encoding="utf-8", newline="")
            else:
                temporary.symlink_to(to)
            temporary.replace(link)
        return f"{_ASSETS}/{digest}"


class Resources:
    """Translates for one configured provider in one region."""

    def __init__(self, provider: Provider, *, assets: AssetFolder, region: str) -> None:
        self.provider = provider
        self.region = region
        self._assets = assets
        self._kinds: dict[str, Kind] = {}

    def kind(self, token: str) -> Kind:
        """The kind of resource `token`; raises `Unsupported` for a type outside the reviewed table."""
        if (known := self._kinds.get(token)) is not None:
            return known
        if (row := RESOURCES.get(token)) is None:
            raise Unsupported(f"The embedded engine does not deploy {token}: {_TABLE}")
        schema, shapes = self.provider.resource(row.terraform), names.resource(token)
        matched = names.match(schema.block.types, shapes, row.spelled)
        return self._kinds.setdefault(token, Kind(row=row, schema=schema, shapes=shapes, names=matched))

    def config(self, kind: Kind, inputs: Mapping[str, Any]) -> Fields:
        """`inputs` as the provider's configuration."""
        inputs = self._in_region(kind.row.label, kind.schema.block, inputs)
        return self._codec(kind.row.label, kind.row.spelled).encode(kind.schema.block, kind.shapes, inputs)

    def prior(self, kind: Kind, properties: Mapping[str, Any]) -> Fields:
        """The provider's fields for a resource with these `properties`, which another version may have given."""
        codec = self._codec(kind.row.label, kind.row.spelled, strict=False)
        return codec.encode(kind.schema.block, kind.shapes, properties)

    def outputs(self, kind: Kind, fields: Fields, inputs: Mapping[str, Any]) -> Fields:
        """The properties that the program sees of a resource in state `fields`."""
        codec = self._codec(kind.row.label, kind.row.spelled)
        outputs = codec.decode(kind.schema.block, kind.shapes, fields)
        outputs.pop("id", None)
        if _REGION in kind.shapes:
            outputs.setdefault(_REGION, self.region)
        for name, value in inputs.items():  # what the provider does not give back, and assets as they were given
            if name not in outputs or is_asset(value):
                outputs[name] = value
        return outputs

    def known(self, state: ProviderState, kind: Kind) -> Fields:
        """The fields of `state` in the form of this provider's schema."""
        return self.provider.upgrade(kind.schema, state.version, state.fields)

    def completed(self, kind: Kind, record: Record, fields: Fields, private: bytes) -> Record:
        """`record` with the provider's `fields`: its id, its outputs, and which of them are secret."""
        return replace(
            record,
            provider_state=ProviderState(
                terraform=kind.schema.name, version=kind.schema.version, fields=fields, private=private
            ),
            id=_identifier(fields),
            outputs=self.outputs(kind, fields, record.inputs),
            secrets=record.secrets | self.sensitive(kind, fields),
        )

    def sensitive(self, kind: Kind, fields: Fields) -> frozenset[str]:
        """The properties in which the provider itself marks something as sensitive."""
        return frozenset(kind.property_of(field) for field in _sensitive(kind.schema.block, fields))

    def invoke(self, token: str, arguments: Fields) -> Fields:
        """What the SDK function `token` returns; raises `Unsupported` for one outside the reviewed table."""
        if (source := DATA_SOURCES.get(token)) is None:
            raise Unsupported(f"The embedded engine does not answer {token}: {_TABLE}")
        schema, shapes, codec = self.provider.data_source(source), names.result(token), self._codec(token, {})
        config = codec.encode(schema.block, shapes, self._in_region(token, schema.block, arguments))
        result = codec.decode(schema.block, shapes, self.provider.read_data(schema, config))
        return ({_REGION: self.region} if _REGION in shapes else {}) | result

    def _codec(self, label: str, spelled: Mapping[str, str], *, strict: bool = True) -> Codec:
        return Codec(label=label, spelled=spelled, materialise=self._assets.materialise, strict=strict)

    def _in_region(self, label: str, block: Block, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """`inputs` without a region, if this provider has one for all resources and it is the same."""
        if _REGION in block.attributes or _REGION not in inputs:
            return inputs
        if inputs[_REGION] != self.region:
            raise Unsupported(f"{label}: this AWS provider deploys to one region, {self.region}; leave 'region' out.")
        return {name: value for name, value in inputs.items() if name != _REGION}


def provider_config(block: Block, properties: Mapping[str, Any], endpoint: str) -> Fields:
    """The provider's configuration as its schema wants it: `properties`, and every service at `endpoint`."""
    codec = Codec(label="The provider's configuration (aws:…)", spelled={}, materialise=_no_asset)
    config = codec.encode(block, names.provider(), properties)
    return config | {"endpoints": [dict.fromkeys(block.blocks["endpoints"].block.attributes, endpoint)]}


def _no_asset(asset: Mapping[str, Any]) -> str:
    raise ConfigurationRefused(f"The provider's configuration takes no asset: {sorted(asset)}.")


def autoname(rule: Autoname, name: str) -> str:
    """A fresh name for resource `name`: the same words, seven random hex digits, within the length that AWS allows."""
    ending = "-" + randomness.token_hex(4)[:7]
    stem = (name.lower() if rule.lower else name)[: rule.longest - len(rule.prefix) - len(ending)]
    return f"{rule.prefix}{stem}{ending}"


def _identifier(fields: Fields) -> str:
    """The id of a resource in state `fields`; empty while it is unknown."""
    value = fields.get("id")
    return "" if value is None or value is UNKNOWN else str(value)


def _sensitive(block: Block, fields: Any) -> list[str]:
    """The fields of `block` that hold a value marked sensitive, at any depth."""
    if not isinstance(fields, dict):
        return []
    found = [name for name, a in block.attributes.items() if a.sensitive and fields.get(name) not in (None, "")]
    for name, nested in block.blocks.items():
        value = fields.get(name)
        items = [value] if nested.nesting is Nesting.SINGLE or not isinstance(value, list) else value
        if any(_sensitive(nested.block, item) for item in items):
            found.append(name)
    return found
