"""API keys of a stack's endpoint: made, listed, rotated and revoked in the parameter store, which holds hashes only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from petpark.errors import NOT_SO, OperatorError
from petpark.ids import complete
from petpark.target import Target
from registry.layout import Role, api_keys_path, api_keys_role
from serving.keys.record import NAME, ApiKey, KeyScope, RecordMalformed, hash_of, new_key

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

HEARD_WITHIN = 20
"""Seconds until every endpoint knows of a change: it reads the keys every 15 s."""


class KeyExists(OperatorError):
    """A key of that name is there already."""

    exit_code = NOT_SO


class KeyUnknown(OperatorError):
    """No key has that name."""

    exit_code = NOT_SO


class KeyRefused(OperatorError):
    """What was asked for is no key that can be."""


@dataclass(frozen=True, kw_only=True)
class MadeKey:
    """A key that was just made: the one moment in which it is known."""

    record: ApiKey
    key: str


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What the parameter store holds below the path: a record, or why it is none."""

    name: str
    record: ApiKey | None
    problem: str = ""


def create(
    target: Target,
    name: str,
    *,
    rate: float,
    burst: int,
    lifetime: timedelta | None,
    scopes: Sequence[KeyScope],
    now: datetime | None = None,
) -> MadeKey:
    """Make a key for the stack's endpoint, as promoter. Raises `KeyExists`, `KeyRefused`."""
    moment = now or datetime.now(UTC)
    key = new_key()
    try:
        record = ApiKey(
            name=name,
            hash=hash_of(key),
            rate=rate,
            burst=burst,
            created=moment,
            expires=None if lifetime is None else moment + lifetime,
            scopes=frozenset(scopes),
        )
    except RecordMalformed as error:
        raise KeyRefused(f"This is no key that can be: {error}.", next_step="petpark keys create --help") from None
    ssm = _ssm(target, Role.PROMOTER)
    try:
        _put(ssm, target, record, overwrite=False)
    except ssm.exceptions.ParameterAlreadyExists:
        raise KeyExists(
            f"Stack {target.outputs.stack} has a key {name} already.",
            next_step=f"petpark keys rotate {name}, or choose another name",
        ) from None
    return MadeKey(record=record, key=key)


def rotate(target: Target, name: str, *, grace: timedelta, now: datetime | None = None) -> MadeKey:
    """Make a new key under an old name; the old key stays good for `grace`. Raises `KeyUnknown`, `KeyRefused`."""
    ssm = _ssm(target, Role.PROMOTER)
    key = new_key()
    record = _read(ssm, target, name).rotated(hash_of(key), now=now or datetime.now(UTC), grace=grace)
    _put(ssm, target, record, overwrite=True)
    return MadeKey(record=record, key=key)


def revoke(target: Target, name: str) -> None:
    """Take a key back, and with it the one before its last rotation. Raises `KeyUnknown`."""
    _check_name(target, name)
    ssm = _ssm(target, Role.PROMOTER)
    try:
        ssm.delete_parameter(Name=_parameter(target, name))
    except ssm.exceptions.ParameterNotFound:
        raise _unknown(target, name) from None


def resolve(target: Target, beginning: str) -> str:
    """The one key of the stack whose name begins so, as promoter; raises `IdAmbiguous`."""
    names = (path.rpartition("/")[2] for path, _ in _parameters(target, Role.PROMOTER))
    return complete("keys", beginning, names, listing="petpark keys list")


def listed(target: Target) -> list[Listed]:
    """All keys of the stack's endpoint by name, as reader; what is no record is listed as such."""
    return sorted(_listed(_parameters(target, Role.READER)), key=lambda one: one.name)


def _parameters(target: Target, role: Role) -> Iterator[tuple[str, str]]:
    pages = _ssm(target, role).get_paginator("get_parameters_by_path")
    for page in pages.paginate(Path=api_keys_path(target.outputs.stack)):
        yield from ((one.get("Name", ""), one.get("Value", "")) for one in page["Parameters"])


def _listed(parameters: Iterator[tuple[str, str]]) -> Iterator[Listed]:
    for path, text in parameters:
        name = path.rpartition("/")[2]
        try:
            yield Listed(name=name, record=ApiKey.from_json(name, text))
        except RecordMalformed as error:
            yield Listed(name=name, record=None, problem=str(error))


def _read(ssm: SSMClient, target: Target, name: str) -> ApiKey:
    _check_name(target, name)
    try:
        found = ssm.get_parameter(Name=_parameter(target, name))["Parameter"].get("Value", "")
        return ApiKey.from_json(name, found)
    except ssm.exceptions.ParameterNotFound:
        raise _unknown(target, name) from None
    except RecordMalformed as error:
        raise KeyRefused(
            f"{_parameter(target, name)} holds no record of a key: {error}.",
            next_step=f"petpark keys revoke {name}, then petpark keys create {name}",
        ) from None


def _put(ssm: SSMClient, target: Target, record: ApiKey, *, overwrite: bool) -> None:
    # A plain parameter: it holds no secret, and so needs no key of KMS that every endpoint would have to use.
    ssm.put_parameter(
        Name=_parameter(target, record.name),
        Value=record.to_json(),
        Type="String",
        Overwrite=overwrite,
        Description="petpark: an API key's hash, allowance and scopes",
    )


def _check_name(target: Target, name: str) -> None:
    if not NAME.fullmatch(name):
        raise _unknown(target, name)


def _unknown(target: Target, name: str) -> KeyUnknown:
    return KeyUnknown(f"Stack {target.outputs.stack} has no key {name!r}.", next_step="petpark keys list")


def _parameter(target: Target, name: str) -> str:
    return f"{api_keys_path(target.outputs.stack)}/{name}"


def _ssm(target: Target, role: Role) -> SSMClient:
    # A stack in an account of its own has its keys there, and roles of its own for them.
    own = api_keys_role(role)
    return target.client("ssm", role=own if own in target.outputs.roles else role)
