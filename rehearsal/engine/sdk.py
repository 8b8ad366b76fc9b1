"""The installed pulumi-aws SDK as an oracle: which properties a type has and what shape each has.

The SDK is generated from the same bridge that the official plugin runs, so its classes say exactly how Terraform's
fields are spelled and which one-element lists are flattened. Its modules load on first use and are not safe to load
from several threads at once, hence the lock.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import threading
import typing
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import pulumi
from pulumi import _types as types  # pyright: ignore[reportPrivateUsage] # no public door leads to property types

_LOCK = threading.RLock()


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a property holds: `one` object, `many` values, a `map`, or a `scalar`; `inner` is the class inside."""

    kind: Literal["one", "many", "map", "scalar"]
    inner: Any = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Properties:
    """The properties of an SDK class, by the name they have on the wire."""

    shapes: Mapping[str, Shape]
    inputs: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()


NO_PROPERTIES = Properties(shapes={})


def _locked[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    cached = cast("Callable[P, R]", functools.cache(function))

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        # Loading a module of the SDK warns of every deprecated type in it, ours or not.
        with _LOCK, warnings.catch_warnings(action="ignore"):
            return cached(*args, **kwargs)

    return guarded


@_locked
def resource(token: str) -> Properties:
    """The properties of resource type `token`; raises `LookupError` if the SDK has no such type."""
    module, name = _module(token)
    found = getattr(module, name, None)
    if found is None or getattr(found, "pulumi_type", None) != token:
        raise LookupError(f"the installed pulumi-aws has no resource type {token}")
    arguments = getattr(importlib.import_module(found.__module__), f"{name}Args")
    spelled: dict[str, str] = types.input_type_py_to_pulumi_names(arguments)
    signature = inspect.signature(arguments.__init__).parameters
    return Properties(
        shapes={name: shape(kind) for name, kind in types.resource_types(found).items()},
        inputs=frozenset(spelled.values()),
        required=frozenset(
            wire for python, wire in spelled.items() if signature[python].default is inspect.Parameter.empty
        ),
    )


@_locked
def result(token: str) -> Properties:
    """What the SDK function `token` returns (its arguments are among it)."""
    module, name = _module(token)
    found = getattr(module, f"{name[0].upper()}{name[1:]}Result", None)
    if found is None:
        raise LookupError(f"the installed pulumi-aws has no function {token}")
    return Properties(shapes={name: shape(kind) for name, kind in types.output_type_types(found).items()})


@_locked
def nested(inner: Any) -> Properties:
    """The properties of a class found inside a shape; none for anything but an SDK class."""
    if not isinstance(inner, type):
        return NO_PROPERTIES
    if types.is_output_type(inner):
        found = types.output_type_types(inner)
    elif types.is_input_type(inner):
        found = types.input_type_types(inner)
    else:
        return NO_PROPERTIES
    return Properties(shapes={name: shape(kind) for name, kind in found.items()})


@_locked
def provider() -> Properties:
    """The properties of the provider's own configuration."""
    arguments = importlib.import_module("pulumi_aws").ProviderArgs
    return Properties(shapes={name: shape(kind) for name, kind in types.input_type_types(arguments).items()})


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
