"""The provider as a process, and its calls: validate, plan, apply, read, import, and read a data source."""

import json
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import grpc
from google.protobuf.message import Message

from rehearsal import child_process
from rehearsal.engine.errors import ProviderDiagnostics, ProviderFailed, Unsupported
from rehearsal.engine.provider import tfplugin5_pb2 as pb
from rehearsal.engine.provider.schema import Block, Schema, canonical, proposed_new
from rehearsal.engine.values import Fields, pack, unpack

# Terraform's plugin handshake: the cookie only shows the binary that it was not started by hand.
_COOKIE = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"
_PROTOCOL = "5"
_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
]
_CAPABILITIES = pb.ClientCapabilities(deferral_allowed=False, write_only_attributes_allowed=True)
_TERRAFORM = "1.9.8"  # a client version whose protocol this is; the provider only puts it into its user agent
_START_SECONDS = 60.0
_SECONDS = 120.0
_PLAN_SECONDS = 300.0  # some plans call the cloud
_APPLY_SECONDS = 1800.0  # the provider's own waits end before that

type Path = tuple[str | int, ...]


def environment(scratch: FilePath) -> dict[str, str]:
    """All that the provider sees of the environment: no credentials, profile, proxy or endpoint of the caller's."""
    nowhere = str(scratch / "none")
    return {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "TF_PLUGIN_MAGIC_COOKIE": _COOKIE,
        "PLUGIN_PROTOCOL_VERSIONS": _PROTOCOL,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
        # It lives for one operation, and Go's garbage collection of its schemas takes a third of its start-up time.
        # So there is none below this limit: https://pkg.go.dev/runtime#hdr-Environment_Variables. 340 MB become 420.
        "GOGC": "off",
        "GOMEMLIMIT": "512MiB",
    }


class Plugin:
    """A running provider process; `close` ends it, and so does our own end."""

    def __init__(self, binary: FilePath, *, scratch: FilePath) -> None:
        """Start `binary` and return at once; the first call waits until it serves."""
        self._scratch = scratch
        self._log = scratch / "provider.log"
        self._ready = threading.Event()
        self._handshake = ""
        self._channel: grpc.Channel | None = None
        self._opening = threading.Lock()
        with self._log.open("ab") as log:
            self._process = child_process.start(
                [str(binary)],
                directory=scratch,
                environment=environment(scratch),
                stdout=subprocess.PIPE,
                stderr=log,
            )
        threading.Thread(target=self._drain, name="provider-output", daemon=True).start()

    def call(self, method: str, *, seconds: float, **fields: Any) -> Any:
        """Call `method` with a request of `fields`; raises `ProviderFailed` when the provider does not answer."""
        message: Any = getattr(pb, "GetProviderSchema" if method == "GetSchema" else method)
        invoke: Callable[..., Any] = self._open().unary_unary(
            f"/tfplugin5.Provider/{method}",
            request_serializer=_serialise,
            response_deserializer=message.Response.FromString,
        )
        try:
            return invoke(message.Request(**fields), timeout=seconds, wait_for_ready=method == "GetSchema")
        except grpc.RpcError as error:
            raise ProviderFailed(self._why(method, error, seconds)) from error

    def wait(self) -> None:
        """Return after the provider's handshake; raises `ProviderFailed` if there is none."""
        self._address()

    def close(self) -> None:
        """End the provider; calls in flight break off, so wait for them first."""
        if self._channel is not None:
            self._channel.close()
        child_process.stop(self._process)

    def _drain(self) -> None:
        """Read the handshake line, then keep the pipe empty."""
        pipe = self._process.stdout
        if pipe is None:
            return
        try:
            self._handshake = pipe.readline().strip()
            self._ready.set()
            for _ in pipe:
                pass
        except ValueError:  # closed by `close` while we were reading
            self._ready.set()

    def _open(self) -> grpc.Channel:
        with self._opening:
            if self._channel is None:
                self._channel = grpc.insecure_channel(self._address(), options=_CHANNEL_OPTIONS)
            return self._channel

    def _address(self) -> str:
        if not self._ready.wait(_START_SECONDS):
            raise ProviderFailed(f"The AWS provider did not start within {_START_SECONDS:.0f} s.{self._tail()}")
        # core protocol | app protocol | network | address | transport | …
        fields = self._handshake.split("|")
        if len(fields) < 5 or fields[1] != _PROTOCOL or fields[4] != "grpc":
            raise ProviderFailed(
                "The AWS provider did not answer in Terraform's plugin protocol 5; is the file really "
                f"terraform-provider-aws?{self._tail()}"
            )
        return f"unix:{fields[3]}" if fields[2] == "unix" else fields[3]

    def _why(self, method: str, error: grpc.RpcError, seconds: float) -> str:
        code = error.code() if isinstance(error, grpc.Call) else None
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"The AWS provider did not answer {method} within {seconds:.0f} s; run the same command again."
        details = error.details() if isinstance(error, grpc.Call) else str(error)
        return f"The AWS provider broke off {method}: {details}.{self._tail()}"

    def _tail(self) -> str:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
        except OSError:
            return ""
        return " Its last words: " + " / ".join(lines) if lines else ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The result of a plan; `replaces` are the paths that cannot change in place."""

    state: Fields | None
    replaces: tuple[Path, ...]
    private: bytes


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The result of an apply. With errors, `state` is what exists nevertheless (None: nothing)."""

    state: Fields | None
    private: bytes = b""
    errors: tuple[str, ...] = ()


class Provider:
    """A configured provider; safe to use from many threads at once.

    Every method raises `ProviderDiagnostics` where the provider reports an error, unless stated otherwise.
    """

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self._raw: pb.GetProviderSchema.Response = self._call("GetSchema", seconds=_SECONDS)
        self.config_block = Block.of(self._raw.provider.block)

    def resource(self, name: str) -> Schema:
        """The schema of resource type `name`; raises `Unsupported` if this provider lacks it."""
        return _schema("resource type", self._raw.resource_schemas, name)

    def data_source(self, name: str) -> Schema:
        """The schema of data source `name`; raises `Unsupported` if this provider lacks it."""
        return _schema("data source", self._raw.data_source_schemas, name)

    def configure(self, config: Fields) -> None:
        """Configure the provider (every field of `config_block`).

        Terraform would have it validated first (PrepareProviderConfig). That makes the provider check all of its own
        schemas, four seconds of CPU each time, and fills in defaults that configuring fills in again; our
        configuration is built from reviewed keys, so it is left out.
        """
        self._capable("Configure", terraform_version=_TERRAFORM, config=_dynamic(config))

    def validate(self, schema: Schema, config: Fields) -> None:
        """Return if the provider finds nothing wrong with `config`."""
        self._capable("ValidateResourceTypeConfig", type_name=schema.name, config=_dynamic(config))

    def plan(self, schema: Schema, prior: Fields | None, config: Fields | None, private: bytes = b"") -> Plan:
        """Plan from `prior` (None: create) to `config` (None: destroy)."""
        proposed = None if config is None else proposed_new(schema.block, prior, config)
        answer = self._capable(
            "PlanResourceChange",
            seconds=_PLAN_SECONDS,
            type_name=schema.name,
            prior_state=_dynamic(prior),
            proposed_new_state=_dynamic(proposed),
            config=_dynamic(config),
            prior_private=private,
        )
        return Plan(
            state=_value(schema, answer.planned_state),
            replaces=tuple(_attribute_path(path) for path in answer.requires_replace),
            private=answer.planned_private,
        )

    def apply(
        self, schema: Schema, prior: Fields | None, planned: Fields | None, config: Fields | None, private: bytes
    ) -> Applied:
        """Carry out a plan. Errors are returned, not raised: what was made despite them must be recorded."""
        answer = self._plugin.call(
            "ApplyResourceChange",
            seconds=_APPLY_SECONDS,
            type_name=schema.name,
            prior_state=_dynamic(prior),
            planned_state=_dynamic(planned),
            config=_dynamic(config),
            planned_private=private,
        )
        return Applied(
            state=_value(schema, answer.new_state), private=answer.private, errors=_errors(answer.diagnostics)
        )

    def read(self, schema: Schema, state: Fields, private: bytes = b"") -> Applied:
        """The resource's current state; `state` is None in the answer if it no longer exists."""
        answer = self._capable(
            "ReadResource",
            seconds=_PLAN_SECONDS,
            type_name=schema.name,
            current_state=_dynamic(state),
            private=private,
        )
        return Applied(state=_value(schema, answer.new_state), private=answer.private)

    def find(self, schema: Schema, identifier: str) -> Applied:
        """The existing resource that the provider imports as `identifier`; `state` None if there is none."""
        answer = self._capable("ImportResourceState", seconds=_PLAN_SECONDS, type_name=schema.name, id=identifier)
        imported = next((r for r in answer.imported_resources if r.type_name == schema.name), None)
        if imported is None or (state := _value(schema, imported.state)) is None:
            return Applied(state=None)
        return self.read(schema, state, imported.private)

    def read_data(self, schema: Schema, config: Fields) -> Fields:
        """What data source `schema` answers to `config`."""
        answer = self._capable("ReadDataSource", seconds=_PLAN_SECONDS, type_name=schema.name, config=_dynamic(config))
        state = _value(schema, answer.state)
        if state is None:
            raise ProviderDiagnostics([f"{schema.name} answered nothing"])
        return state

    def upgrade(self, schema: Schema, version: int, state: Fields) -> Fields:
        """`state`, written under schema `version`, in the form of this provider's schema."""
        if version == schema.version:
            return state
        raw = pb.RawState(json=json.dumps(state).encode())
        answer = self._call(
            "UpgradeResourceState", seconds=_SECONDS, type_name=schema.name, version=version, raw_state=raw
        )
        upgraded = _value(schema, answer.upgraded_state)
        return state if upgraded is None else upgraded

    def _capable(self, method: str, *, seconds: float = _SECONDS, **fields: Any) -> Any:
        return self._call(method, seconds=seconds, client_capabilities=_CAPABILITIES, **fields)

    def _call(self, method: str, *, seconds: float, **fields: Any) -> Any:
        answer = self._plugin.call(method, seconds=seconds, **fields)
        if errors := _errors(answer.diagnostics):
            raise ProviderDiagnostics(errors)
        return answer


def _schema(kind: str, schemas: Any, name: str) -> Schema:
    if name not in schemas:
        raise Unsupported(f"This AWS provider binary has no {kind} {name}; use a newer one.")
    return Schema(name=name, version=int(schemas[name].version), block=Block.of(schemas[name].block))


def _serialise(message: Message) -> bytes:
    return message.SerializeToString()


def _dynamic(value: Fields | None) -> pb.DynamicValue:
    return pb.DynamicValue(msgpack=pack(value))


def _value(schema: Schema, dynamic: pb.DynamicValue) -> Fields | None:
    if dynamic.msgpack:
        return canonical(schema.block, unpack(dynamic.msgpack))
    return canonical(schema.block, json.loads(dynamic.json)) if dynamic.json else None


def _errors(diagnostics: Any) -> tuple[str, ...]:
    """The errors among `diagnostics`, each as a sentence."""
    return tuple(_sentence(d) for d in diagnostics if d.severity == pb.Diagnostic.ERROR)


def _sentence(diagnostic: pb.Diagnostic) -> str:
    text = ": ".join(part.strip() for part in (diagnostic.summary, diagnostic.detail) if part.strip())
    where = ".".join(map(str, _attribute_path(diagnostic.attribute)))
    return f"{where}: {text}" if where and where not in text else text


def _attribute_path(path: pb.AttributePath) -> Path:
    """The steps of a protocol path, as keys and indices."""
    selected = ((step, step.WhichOneof("selector")) for step in path.steps)
    return tuple(getattr(step, selector) for step, selector in selected if selector is not None)
