"""Between the program's resources and the provider's: the right schema, names and values for each type."""

from __future__ import annotations

import secrets as randomness
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rehearsal.engine import decode, naming, sdk
from rehearsal.engine.assets import AssetFolder
from rehearsal.engine.encode import Encoder
from rehearsal.engine.errors import Unsupported
from rehearsal.engine.provider import Provider
from rehearsal.engine.record import Held, Record
from rehearsal.engine.schema import Block, NestedBlock, Nesting, Schema
from rehearsal.engine.type_table import DATA_SOURCES, RESOURCES, Autoname, ResourceType
from rehearsal.engine.values import UNKNOWN, Fields
from rehearsal.engine.wire import is_asset

_REGION = "region"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Everything known about one resource type."""

    row: ResourceType
    schema: Schema
    properties: sdk.Properties
    names: naming.Names

    def property_of(self, field: str) -> str:
        """How the SDK calls a top-level Terraform field."""
        return self.names.to_sdk.get(field, naming.camel(field))


class Bridge:
    """Translates for one configured provider in one region."""

    def __init__(self, provider: Provider, *, assets: AssetFolder, region: str) -> None:
        self.provider = provider
        self.region = region
        self._assets = assets
        self._kinds: dict[str, Kind] = {}
        self._lock = threading.Lock()

    def kind(self, token: str) -> Kind:
        """The kind of resource `token`; raises `Unsupported` for a type outside the reviewed table."""
        with self._lock:
            if token not in self._kinds:
                row = RESOURCES.get(token)
                if row is None:
                    raise Unsupported(
                        f"The embedded engine does not deploy {token}: it is not in its reviewed table "
                        "(rehearsal/engine/type_table.py). Add a row there, or rehearse with the Pulumi CLI."
                    )
                schema, properties = self.provider.resource(row.terraform), sdk.resource(token)
                names = naming.match(schema.block.names, properties.shapes, row.spelled)
                self._kinds[token] = Kind(row=row, schema=schema, properties=properties, names=names)
            return self._kinds[token]

    def config(self, kind: Kind, inputs: Mapping[str, Any], timeouts: Mapping[str, str]) -> Fields:
        """`inputs` as the provider's configuration."""
        label = kind.row.label
        properties = {name: value for name, value in inputs.items() if name != _REGION}
        if _REGION in kind.schema.block.attributes:
            properties = dict(inputs)
        elif inputs.get(_REGION, self.region) != self.region:
            raise Unsupported(f"{label}: this AWS provider deploys to one region, {self.region}; leave 'region' out.")
        encoder = Encoder(label=label, spelled=kind.row.spelled, materialise=self._assets.materialise)
        config = encoder.block(kind.schema.block, kind.properties, properties)
        if timeouts:
            config["timeouts"] = _timeouts(label, kind.schema.block.blocks.get("timeouts"), timeouts)
        return config

    def outputs(self, kind: Kind, fields: Fields, inputs: Mapping[str, Any]) -> Fields:
        """The properties that the program sees of a resource in state `fields`."""
        outputs = decode.block(kind.schema.block, kind.properties, kind.row.spelled, fields)
        outputs.pop("id", None)
        if _REGION in kind.properties.shapes:
            outputs.setdefault(_REGION, self.region)
        for name, value in inputs.items():  # what the provider does not give back, and assets as they were given
            if name not in outputs or is_asset(value):
                outputs[name] = value
        return outputs

    def known(self, held: Held, kind: Kind) -> Fields:
        """The fields of `held` in the form of this provider's schema."""
        return self.provider.upgrade(kind.schema, held.version, held.fields)

    def completed(self, kind: Kind, record: Record, held: Held) -> Record:
        """`record` as it is with `held`: its id, its outputs, and which of them are secret."""
        return replace(
            record,
            held=held,
            id=identifier(held.fields),
            outputs=self.outputs(kind, held.fields, record.inputs),
            secrets=record.secrets | self.sensitive(kind, held.fields),
        )

    def sensitive(self, kind: Kind, fields: Fields) -> frozenset[str]:
        """The properties in which the provider itself marks something as sensitive."""
        return frozenset(kind.property_of(field) for field in _sensitive(kind.schema.block, fields))

    def invoke(self, token: str, arguments: Fields) -> Fields:
        """What the SDK function `token` returns; raises `Unsupported` for one outside the reviewed table."""
        row = DATA_SOURCES.get(token)
        if row is None:
            raise Unsupported(
                f"The embedded engine does not answer {token}: it is not in its reviewed table "
                "(rehearsal/engine/type_table.py). Add a row there, or rehearse with the Pulumi CLI."
            )
        schema, properties = self.provider.data_source(row.terraform), sdk.result(token)
        if _REGION in arguments and _REGION not in schema.block.attributes:
            if arguments[_REGION] != self.region:
                raise Unsupported(f"{token}: this AWS provider reads one region, {self.region}; leave 'region' out.")
            arguments = {name: value for name, value in arguments.items() if name != _REGION}
        encoder = Encoder(label=token, spelled=row.spelled, materialise=self._assets.materialise)
        config = encoder.block(schema.block, properties, arguments)
        result = decode.block(schema.block, properties, row.spelled, self.provider.read_data(schema, config))
        if _REGION in properties.shapes:
            result.setdefault(_REGION, self.region)
        return result | {copy: result[source] for copy, source in row.copies.items() if source in result}


def identifier(fields: Fields) -> str:
    """The id of a resource in state `fields`; empty while it is unknown."""
    value = fields.get("id")
    return "" if value is None or value is UNKNOWN else str(value)


def autoname(rule: Autoname, name: str, inputs: Mapping[str, Any]) -> str:
    """A fresh name for resource `name`: the same words, seven random hex digits, within the length that AWS allows."""
    ending = "-" + randomness.token_hex(4)[:7]
    if rule.fifo and inputs.get("fifoTopic", inputs.get("fifoQueue")) is True:
        ending += ".fifo"
    stem = (name.lower() if rule.lower else name)[: rule.longest - len(rule.prefix) - len(ending)]
    return f"{rule.prefix}{stem}{ending}"


def _timeouts(label: str, nested: NestedBlock | None, timeouts: Mapping[str, str]) -> Fields:
    allowed = nested.block.attributes if nested else {}
    if wrong := sorted(timeouts.keys() - allowed.keys()):
        raise Unsupported(f"{label}: the provider takes no custom timeout for {wrong[0]}.")
    return {name: timeouts.get(name) for name in allowed}


def _sensitive(block: Block, fields: Any) -> list[str]:
    """The fields of `block` that hold a value marked sensitive, at any depth."""
    if not isinstance(fields, dict):
        return []
    found = [name for name, a in block.attributes.items() if a.sensitive and fields.get(name) not in (None, "")]
    for name, nested in block.blocks.items():
        value = fields.get(name)
        items = (
            value
            if isinstance(value, list)
            else list(value.values())
            if nested.nesting is Nesting.MAP and value
            else [value]
        )
        if any(_sensitive(nested.block, item) for item in items):
            found.append(name)
    return found
