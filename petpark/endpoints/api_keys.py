"""API keys of a stack's endpoint, created, listed, rotated and revoked in a log that stores hashes only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from petpark.errors import NOT_SO, OperatorError
from petpark.ids import complete
from petpark.targets.target import Target
from registry.clock import utc_now
from registry.layout.model_store import api_keys_prefix
from registry.layout.roles import Role
from serving.auth.key_log import Changes, KeyLog, KeyState
from serving.auth.key_record import ApiKey, KeyScope, RecordMalformed, hash_of, new_key

HEARD_WITHIN = 20
"""Seconds until every endpoint has applied a change: it polls every 15 s."""


class KeyExists(OperatorError):
    """A key with that name exists."""

    exit_code = NOT_SO


class KeyUnknown(OperatorError):
    """No key has that name."""

    exit_code = NOT_SO


class KeyRefused(OperatorError):
    """The requested key is invalid."""


@dataclass(frozen=True, kw_only=True)
class MadeKey:
    """A new key, whose plain text is available only now."""

    record: ApiKey
    key: str


class KeysMigrated(OperatorError):
    """The log has entries, so parameters are not copied: one of them may have been revoked since."""

    exit_code = NOT_SO


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The log's content for a name: a record, or the reason why it is invalid."""

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
    """Returns a new key for the stack's endpoint, written as promoter. Raises `KeyExists`, `KeyRefused`."""
    moment = now or utc_now()
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
        raise KeyRefused(f"Invalid key: {error}.", next_step="petpark keys create --help") from None

    def add(state: KeyState) -> Changes:
        if name in state.documents:
            raise KeyExists(
                f"Stack {target.outputs.stack} already has a key {name}.",
                next_step=f"petpark keys rotate {name}, or choose another name",
            )
        return {name: record}

    _change(target, add, f"create {name}")
    return MadeKey(record=record, key=key)


def rotate(target: Target, name: str, *, grace: timedelta, now: datetime | None = None) -> MadeKey:
    """Returns a new key under an old name; the old one stays valid for `grace`. Raises `KeyUnknown`, `KeyRefused`."""
    key = new_key()

    def replace(state: KeyState) -> Changes:
        record = _record(target, state, name)
        return {name: record.rotated(hash_of(key), now=now or utc_now(), grace=grace)}

    return MadeKey(record=_change(target, replace, f"rotate {name}").records[name], key=key)


def revoke(target: Target, name: str) -> None:
    """Revoke a key and its predecessor from the last rotation. Raises `KeyUnknown`."""

    def remove(state: KeyState) -> Changes:
        if name not in state.documents:
            raise _unknown(target, name)
        return {name: None}

    _change(target, remove, f"revoke {name}")


def resolve(target: Target, beginning: str) -> str:
    """Returns the only key of the stack whose name has this prefix, as promoter. Raises `IdAmbiguous`."""
    names = _log(target, Role.PROMOTER).latest().documents
    return complete("keys", beginning, names, listing="petpark keys list")


def listed(target: Target) -> list[Listed]:
    """Returns all keys of the stack's endpoint, by name, as reader; invalid objects are listed as such."""
    state = _log(target, Role.READER).latest()
    return [
        Listed(name=name, record=state.records.get(name), problem=state.problems.get(name, ""))
        for name in sorted(state.documents)
    ]


@dataclass(frozen=True, kw_only=True)
class Migration:
    """The result of migrating the parameters of earlier versions of petpark."""

    copied: Sequence[str] = ()
    malformed: Sequence[str] = ()
    """Parameters that are not records, and were not changed."""
    deleted: Sequence[str] = ()


def migrate(target: Target, *, delete: bool = False) -> Migration:
    """Copy the keys in parameters to the log, or `delete` the parameters once endpoints read the log.

    Parameters are read with the caller's own permissions. Keys are copied into an empty log only, all at once.
    Raises `KeysMigrated`; with `delete`, `KeyUnknown` if nothing was copied yet.
    """
    from petpark.account import old_keys

    ssm, stack = target.client("ssm"), target.outputs.stack
    found = old_keys.read(ssm, stack)
    if delete:
        if found and not _log(target, Role.READER).latest().number:
            raise KeyUnknown(
                f"The log of stack {stack} has no keys, but there are {len(found)} parameters.",
                next_step=f"petpark keys migrate --stack {stack}",
            )
        old_keys.delete(ssm, stack, found)
        return Migration(deleted=sorted(found))
    records: dict[str, ApiKey] = {}
    for name, text in found.items():
        with contextlib.suppress(RecordMalformed):
            records[name] = ApiKey.from_json(name, text)

    def add(state: KeyState) -> Changes:
        if state.number:
            raise KeysMigrated(
                f"The log of stack {stack} already has {state.number} entries, so its {len(found)} parameters are not "
                "copied: one of them may have been revoked since.",
                next_step=f"petpark keys list --stack {stack}; create what is missing, then petpark keys migrate "
                f"--delete --stack {stack}",
            )
        return dict(records)

    if records:
        _change(target, add, f"migrate {len(records)} parameters")
    return Migration(copied=sorted(records), malformed=sorted(found.keys() - records.keys()))


def _change(target: Target, decide: Callable[[KeyState], Changes], what: str) -> KeyState:
    return _log(target, Role.PROMOTER).change(decide, by=target.identity(role=Role.PROMOTER), what=what)


def _record(target: Target, state: KeyState, name: str) -> ApiKey:
    if name in state.problems:
        raise KeyRefused(
            f"The stored key {name} is not a key record: {state.problems[name]}.",
            next_step=f"petpark keys revoke {name}, then petpark keys create {name}",
        )
    if name not in state.records:
        raise _unknown(target, name)
    return state.records[name]


def _unknown(target: Target, name: str) -> KeyUnknown:
    return KeyUnknown(f"Stack {target.outputs.stack} has no key {name!r}.", next_step="petpark keys list")


def _log(target: Target, role: Role) -> KeyLog:
    return KeyLog(target.store(target.outputs.model_store, role=role), api_keys_prefix(target.outputs.stack))
