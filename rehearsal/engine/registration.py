"""What the program asks for when it registers a resource, and the options that the engine does not take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pulumi.runtime.proto import resource_pb2

from rehearsal.engine import wire
from rehearsal.engine.errors import Unsupported
from rehearsal.engine.record import STACK_TYPE
from rehearsal.engine.type_table import short_type

type Request = resource_pb2.RegisterResourceRequest

# Options that change what a deployment does and that nothing of ours uses; taken silently they would be ignored.
_UNSUPPORTED: Final[Mapping[str, Callable[[Request], object]]] = {
    "provider": lambda r: r.provider,
    "providers": lambda r: r.providers,
    "import_": lambda r: r.importId,
    "remote components": lambda r: r.remote,
    "replace_on_changes": lambda r: r.replaceOnChanges,
    "deleted_with": lambda r: r.deletedWith,
    "replace_with": lambda r: r.replace_with,
    "replacement_trigger": lambda r: r.replacement_trigger.ByteSize(),
    "transforms": lambda r: r.transforms,
    "hooks": lambda r: r.hooks.ByteSize(),
    "env_var_mappings": lambda r: r.envVarMappings,
    "state migrations": lambda r: r.state_migrations,
    "parameterised packages": lambda r: r.packageRef,
}


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One resource as the program wants it."""

    type: str
    name: str
    parent: str
    custom: bool
    inputs: wire.Properties
    dependencies: tuple[str, ...]
    property_dependencies: Mapping[str, tuple[str, ...]]
    aliases: tuple[str, ...]
    ignore_changes: tuple[str, ...]
    additional_secrets: frozenset[str]
    timeouts: Mapping[str, str]
    delete_before_replace: bool | None
    protect: bool
    retain: bool

    @property
    def label(self) -> str:
        """How people call it: `s3.Bucket photos`."""
        return f"{short_type(self.type)} {self.name}"


def read(request: Request) -> Registration:
    """The registration in `request`; raises `Unsupported` for an option that would otherwise be lost."""
    label = f"{short_type(request.type)} {request.name}"
    for option, given in _UNSUPPORTED.items():
        if given(request):
            raise Unsupported(f"{label}: the embedded engine does not support {option}; rehearse with the Pulumi CLI.")
    if request.type.startswith("pulumi:providers:"):
        raise Unsupported(
            f"{label}: the embedded engine has one provider, configured by the stack's aws:… keys; explicit providers "
            "are not supported."
        )
    custom = request.customTimeouts
    timeouts = {"create": custom.create, "update": custom.update, "delete": custom.delete, "read": custom.read}
    return Registration(
        type=request.type,
        name=request.name,
        parent=request.parent,
        custom=request.custom,
        inputs=wire.read(request.object),
        dependencies=tuple(sorted(set(request.dependencies))),
        property_dependencies={k: tuple(sorted(v.urns)) for k, v in request.propertyDependencies.items() if v.urns},
        aliases=tuple(request.aliasURNs),
        ignore_changes=tuple(request.ignoreChanges),
        additional_secrets=frozenset(request.additionalSecretOutputs),
        timeouts={name: value for name, value in timeouts.items() if value},
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        protect=request.protect,
        retain=request.retainOnDelete,
    )


def urn(*, stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """The resource's URN; the types of its parents qualify its own, the stack's excepted."""
    chain = parent.split("::")[2] if parent else ""
    qualified = f"{chain}${type_}" if chain and chain != STACK_TYPE else type_
    return f"urn:pulumi:{stack}::{project}::{qualified}::{name}"
