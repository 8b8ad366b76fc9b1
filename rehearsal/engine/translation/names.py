"""Names and shapes: Terraform's snake_case fields, and the camelCase properties that the SDK has for them.

The installed pulumi-aws SDK is generated from the same bridge that the official plugin runs, so its classes say
exactly how Terraform's fields are spelled and which one-element lists are flattened. Its modules load on first use and
are not safe to load from several threads at once, hence the lock.
"""

import functools
import importlib
import threading
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import pulumi
from pulumi import _types as types  # pyright: ignore[reportPrivateUsage] # property types have no public interface

_LOCK = threading.RLock()


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
    candidates: tuple[Callable[[str], Iterable[str | None]], ...] = (
        lambda field: (spelled.get(field),),
        lambda field: (camel(field),),
        lambda field: map(camel, inflections(field)),
    )
    for spellings in candidates:
        for field in fields:
            found = next((name for name in spellings(field) if name in free), None) if field not in to_sdk else None
            if found is not None:
                to_sdk[field] = found
                free.discard(found)
    return Names(to_sdk=to_sdk, to_terraform={property_: field for field, property_ in to_sdk.items()})


def camel(name: str) -> str:
    """`user_data_base64` -> `userDataBase64`."""
    first, *rest = [part for part in name.split("_") if part] or [name]
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


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


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a property holds: `one` object, `many` values, a `map`, or a `scalar`; `inner` is the class inside."""

    kind: Literal["one", "many", "map", "scalar"]
    inner: Any = None


type Shapes = Mapping[str, Shape]
"""The properties of an SDK class, by the name they have on the wire."""


def _locked[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    cached = cast("Callable[P, R]", functools.cache(function))

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        # Loading a module of the SDK warns of every deprecated type in it, ours or not.
        with _LOCK, warnings.catch_warnings(action="ignore"):
            return cached(*args, **kwargs)

    return guarded


@_locked
def resource(token: str) -> Shapes:
    """The properties of resource type `token`; raises `LookupError` if the SDK has no such type."""
    return _shapes(types.resource_types(resource_class(token)))


def resource_class(token: str) -> Any:
    """The SDK's class of resource type `token`; raises `LookupError` if there is none."""
    module, name = _module(token)
    found = getattr(module, name, None)
    if found is None or getattr(found, "pulumi_type", None) != token:
        raise LookupError(f"the installed pulumi-aws has no resource type {token}")
    return found


@_locked
def result(token: str) -> Shapes:
    """What the SDK function `token` returns (its arguments are among it)."""
    module, name = _module(token)
    found = getattr(module, f"{name[0].upper()}{name[1:]}Result", None)
    if found is None:
        raise LookupError(f"the installed pulumi-aws has no function {token}")
    return _shapes(types.output_type_types(found))


@_locked
def provider() -> Shapes:
    """The properties of the provider's own configuration."""
    return _shapes(types.input_type_types(importlib.import_module("pulumi_aws").ProviderArgs))


@_locked
def nested(shape: Shape | None) -> Shapes:
    """The properties of the SDK class inside `shape`; none if there is no such class."""
    inner = None if shape is None else shape.inner
    if isinstance(inner, type) and types.is_output_type(inner):
        return _shapes(types.output_type_types(inner))
    if isinstance(inner, type) and types.is_input_type(inner):
        return _shapes(types.input_type_types(inner))
    return {}


def element(outer: Shape | None) -> Shape | None:
    """The shape of what a list, set or map of shape `outer` holds."""
    if outer is None or outer.kind == "one":
        return outer
    return shape(outer.inner) if outer.inner is not None else None


def shape(kind: Any) -> Shape:
    """The shape of a property annotated as `kind`."""
    kind = _plain(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is not None and isinstance(origin, type):
        if issubclass(origin, Mapping):
            return Shape(kind="map", inner=_plain(arguments[1]) if len(arguments) == 2 else None)
        if issubclass(origin, typing.Sequence):
            return Shape(kind="many", inner=_plain(arguments[0]) if arguments else None)
    if isinstance(kind, type) and (types.is_output_type(kind) or types.is_input_type(kind)):
        return Shape(kind="one", inner=kind)
    return Shape(kind="scalar", inner=kind)


def _shapes(annotations: Mapping[str, Any]) -> Shapes:
    return {name: shape(kind) for name, kind in annotations.items()}


def _plain(kind: Any) -> Any:
    """`kind` without what wraps it: Optional, Output, and the union that every input is."""
    origin = typing.get_origin(kind)
    if isinstance(origin, type) and issubclass(origin, pulumi.Output):
        return _plain(typing.get_args(kind)[0])
    if origin is typing.Union or type(kind).__name__ == "UnionType":
        members = [
            member
            for member in map(_plain, typing.get_args(kind))
            if member is not type(None) and typing.get_origin(member) is not typing.get_origin(typing.Awaitable[Any])
        ]
        return next(
            (m for m in members if isinstance(m, type) and types.is_input_type(m)), members[0] if members else kind
        )
    return kind


def _module(token: str) -> tuple[Any, str]:
    _, path, name = token.split(":")
    module = path.split("/")[0]
    return importlib.import_module("pulumi_aws" if module == "index" else f"pulumi_aws.{module}"), name
