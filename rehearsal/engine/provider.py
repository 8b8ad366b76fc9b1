"""The AWS provider's own verbs: validate, plan, apply, read, import, and read a data source."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

from rehearsal.engine import tfplugin5_pb2 as pb
from rehearsal.engine.errors import ProviderDiagnostics, Unsupported
from rehearsal.engine.plugin import Plugin, attribute_path, error_messages, raise_errors
from rehearsal.engine.proposed import proposed_new
from rehearsal.engine.schema import Block, Schema, canonical
from rehearsal.engine.values import Fields, pack, unpack

_CAPABILITIES = pb.ClientCapabilities(deferral_allowed=False, write_only_attributes_allowed=True)
_TERRAFORM = "1.9.8"  # a client version whose protocol this is; the provider only puts it into its user agent
_SECONDS = 120.0
_PLAN_SECONDS = 300.0  # some plans ask the cloud
_APPLY_SECONDS = 1800.0  # the provider's own waits end before that

type Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What applying would give; `replaces` are the paths that cannot change in place."""

    state: Fields | None
    replaces: tuple[Path, ...]
    private: bytes


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What applying gave. With errors, `state` is what exists nevertheless (None: nothing)."""

    state: Fields | None
    private: bytes
    errors: tuple[str, ...] = ()


class Provider:
    """A configured provider; safe to use from many threads at once."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self._raw: pb.GetProviderSchema.Response = plugin.call(
            "GetSchema", pb.GetProviderSchema.Request(), seconds=_SECONDS
        )
        raise_errors(self._raw.diagnostics)
        self.config_block = Block.of(self._raw.provider.block)
        self._schemas: dict[tuple[str, str], Schema] = {}
        self._lock = threading.Lock()

    def resource(self, name: str) -> Schema:
        """The schema of resource type `name`; raises `Unsupported` if this provider lacks it."""
        return self._schema("resource type", self._raw.resource_schemas, name)

    def data_source(self, name: str) -> Schema:
        """The schema of data source `name`; raises `Unsupported` if this provider lacks it."""
        return self._schema("data source", self._raw.data_source_schemas, name)

    def _schema(self, kind: str, schemas: Any, name: str) -> Schema:
        with self._lock:
            if (known := self._schemas.get((kind, name))) is not None:
                return known
            if name not in schemas:
                raise Unsupported(f"This AWS provider binary has no {kind} {name}; use a newer one.")
            raw = schemas[name]
            schema = Schema(name=name, version=int(raw.version), block=Block.of(raw.block))
            self._schemas[kind, name] = schema
            return schema

    def configure(self, config: Fields) -> None:
        """Give the provider its configuration (every field of `config_block`).

        Terraform would have it validated first (PrepareProviderConfig). That makes the provider check all of its own
        schemas, four seconds of CPU each time, and fills in defaults that configuring fills in again; our
        configuration is built from reviewed keys, so it is left out.
        """
        request = pb.Configure.Request(
            terraform_version=_TERRAFORM, config=_dynamic(config), client_capabilities=_CAPABILITIES
        )
        raise_errors(self._plugin.call("Configure", request, seconds=_SECONDS).diagnostics)

    def validate(self, schema: Schema, config: Fields) -> None:
        """Raise `ProviderDiagnostics` if the provider finds `config` wrong."""
        request = pb.ValidateResourceTypeConfig.Request(
            type_name=schema.name, config=_dynamic(config), client_capabilities=_CAPABILITIES
        )
        raise_errors(self._plugin.call("ValidateResourceTypeConfig", request, seconds=_SECONDS).diagnostics)

    def plan(self, schema: Schema, prior: Fields | None, config: Fields | None, private: bytes = b"") -> Plan:
        """Plan from `prior` (None: create) to `config` (None: destroy)."""
        proposed = None if config is None else proposed_new(schema.block, prior, config)
        request = pb.PlanResourceChange.Request(
            type_name=schema.name,
            prior_state=_dynamic(prior),
            proposed_new_state=_dynamic(proposed),
            config=_dynamic(config),
            prior_private=private,
            client_capabilities=_CAPABILITIES,
        )
        answer = self._plugin.call("PlanResourceChange", request, seconds=_PLAN_SECONDS)
        raise_errors(answer.diagnostics)
        return Plan(
            state=_value(schema, answer.planned_state),
            replaces=tuple(attribute_path(path) for path in answer.requires_replace),
            private=answer.planned_private,
        )

    def apply(
        self, schema: Schema, prior: Fields | None, planned: Fields | None, config: Fields | None, private: bytes
    ) -> Applied:
        """Carry out a plan. Errors are returned, not raised: what was made despite them must be recorded."""
        request = pb.ApplyResourceChange.Request(
            type_name=schema.name,
            prior_state=_dynamic(prior),
            planned_state=_dynamic(planned),
            config=_dynamic(config),
            planned_private=private,
        )
        answer = self._plugin.call("ApplyResourceChange", request, seconds=_APPLY_SECONDS)
        return Applied(
            state=_value(schema, answer.new_state),
            private=answer.private,
            errors=error_messages(answer.diagnostics),
        )

    def read(self, schema: Schema, state: Fields, private: bytes = b"") -> Applied:
        """The resource as it is now; `state` None in the answer means that it is gone."""
        request = pb.ReadResource.Request(
            type_name=schema.name,
            current_state=_dynamic(state),
            private=private,
            client_capabilities=_CAPABILITIES,
        )
        answer = self._plugin.call("ReadResource", request, seconds=_PLAN_SECONDS)
        raise_errors(answer.diagnostics)
        return Applied(state=_value(schema, answer.new_state), private=answer.private)

    def find(self, schema: Schema, identifier: str) -> Applied:
        """The existing resource that the provider imports as `identifier`; `state` None if there is none."""
        request = pb.ImportResourceState.Request(
            type_name=schema.name, id=identifier, client_capabilities=_CAPABILITIES
        )
        answer = self._plugin.call("ImportResourceState", request, seconds=_PLAN_SECONDS)
        raise_errors(answer.diagnostics)
        imported = next((r for r in answer.imported_resources if r.type_name == schema.name), None)
        if imported is None:
            return Applied(state=None, private=b"")
        state = _value(schema, imported.state)
        return Applied(state=None, private=b"") if state is None else self.read(schema, state, imported.private)

    def read_data(self, schema: Schema, config: Fields) -> Fields:
        """What data source `schema` answers to `config`."""
        request = pb.ReadDataSource.Request(
            type_name=schema.name, config=_dynamic(config), client_capabilities=_CAPABILITIES
        )
        answer = self._plugin.call("ReadDataSource", request, seconds=_PLAN_SECONDS)
        raise_errors(answer.diagnostics)
        state = _value(schema, answer.state)
        if state is None:
            raise ProviderDiagnostics([f"{schema.name} answered nothing"])
        return state

    def upgrade(self, schema: Schema, version: int, state: Fields) -> Fields:
        """`state`, written under schema `version`, in the form of this provider's schema."""
        if version == schema.version:
            return state
        raw = pb.RawState(json=json.dumps(state).encode())
        request = pb.UpgradeResourceState.Request(type_name=schema.name, version=version, raw_state=raw)
        answer = self._plugin.call("UpgradeResourceState", request, seconds=_SECONDS)
        raise_errors(answer.diagnostics)
        upgraded = _value(schema, answer.upgraded_state)
        return state if upgraded is None else upgraded


def _dynamic(value: Fields | None) -> pb.DynamicValue:
    return pb.DynamicValue(msgpack=pack(value))


def _value(schema: Schema, dynamic: pb.DynamicValue) -> Fields | None:
    if dynamic.msgpack:
        return canonical(schema.block, unpack(dynamic.msgpack))
    return canonical(schema.block, json.loads(dynamic.json)) if dynamic.json else None
