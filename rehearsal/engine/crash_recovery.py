"""After a crash: finds out how the steps ended that were in flight, so that the next update starts from the truth."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rehearsal.engine.bridge import Bridge, Kind
from rehearsal.engine.errors import EngineError, ProviderDiagnostics
from rehearsal.engine.provider import Applied
from rehearsal.engine.record import Held, Record
from rehearsal.engine.schema import Schema
from rehearsal.engine.state import State
from rehearsal.engine.type_table import Lookup
from rehearsal.engine.values import Fields

_ABSENT = re.compile(
    r"not ?found|no matching|no results|0 results|couldn't find|does not exist|NoSuch|non-existent", re.I
)


def recover(state: State, bridge: Bridge, *, told: Callable[[str], None]) -> None:
    """Settle every pending step of `state`; raises `EngineError` for a creation that nobody can find again."""
    lost: list[str] = []
    for record in [*state.resources.values(), *state.condemned]:
        if record.pending == "create":
            _creation(state, bridge, record, told, lost)
        elif record.pending:
            _change(state, bridge, record, told)
    state.save()
    if lost:
        raise EngineError(
            "The last operation was cut off while it created what cannot be found again:\n"
            + "\n".join(f"  {urn}" for urn in lost)
            + "\nEach may exist or not. Look, delete by hand what does, and let the engine forget it:\n"
            + "\n".join(
                f"  python -m rehearsal.engine forget --stack {urn.split(':')[2]} --urn '{urn}'" for urn in lost
            )
        )


def _creation(state: State, bridge: Bridge, record: Record, told: Callable[[str], None], lost: list[str]) -> None:
    kind = bridge.kind(record.type)
    found = _find(bridge, kind, record.planned)
    if found is not None and found.state is not None:
        told(f"{kind.row.label} {record.name} was being created when the last operation was cut off; found it again.")
        held = Held(terraform=kind.schema.name, version=kind.schema.version, fields=found.state, private=found.private)
        state.swap(record, bridge.completed(kind, record.settled(), held))
    elif found is not None or kind.row.repeatable:
        told(f"{kind.row.label} {record.name} was being created when the last operation was cut off; it starts over.")
        state.swap(record, record.settled())
    else:
        lost.append(record.urn)


def _change(state: State, bridge: Bridge, record: Record, told: Callable[[str], None]) -> None:
    kind = bridge.kind(record.type)
    verb = "deleted" if record.pending == "delete" else "updated"
    told(f"{kind.row.label} {record.name} was being {verb} when the last operation was cut off; read it anew.")
    fresh = refreshed(bridge, kind, record)
    if fresh is None:
        state.forget(record)
    else:
        state.swap(record, fresh)


def refreshed(bridge: Bridge, kind: Kind, record: Record) -> Record | None:
    """`record` as the resource is now; None if it is gone."""
    if record.held is None:
        return record.settled()
    now = bridge.provider.read(kind.schema, bridge.known(record.held, kind), record.held.private)
    if now.state is None:
        return None
    held = replace(record.held, version=kind.schema.version, fields=now.state, private=now.private)
    return bridge.completed(kind, record.settled(), held)


def _find(bridge: Bridge, kind: Kind, planned: Fields) -> Applied | None:
    """The resource that was planned so, state None if it does not exist; None if there is no way to find it."""
    rule = kind.row.find
    if rule is None:
        return None
    values = planned | {"tags": planned.get("tags_all") or planned.get("tags")}
    try:
        if isinstance(rule, Lookup):
            answer = bridge.provider.read_data(*_question(bridge, rule, values))[rule.result]
            if isinstance(answer, list):
                return _like(bridge, kind, answer, planned)
            key = str(answer)
        else:
            key = _filled(rule, values | _account(bridge, rule))
        return bridge.provider.find(kind.schema, key)
    except _NotKnown:
        return None
    except ProviderDiagnostics as error:
        if _ABSENT.search(str(error)):
            return Applied(state=None, private=b"")
        raise


def _like(bridge: Bridge, kind: Kind, identifiers: Sequence[str], planned: Fields) -> Applied:
    """The one of the resources `identifiers` that is as it was planned; state None if there is none."""
    asked = {name: value for name, value in planned.items() if value not in (None, "", [], {})}
    for identifier in identifiers:
        found = bridge.provider.find(kind.schema, identifier)
        if found.state is not None and all(found.state.get(name) == value for name, value in asked.items()):
            return found
    return Applied(state=None, private=b"")


class _NotKnown(Exception):
    """A template needs a field that was not known when the creation began."""


def _question(bridge: Bridge, rule: Lookup, values: Mapping[str, Any]) -> tuple[Schema, Fields]:
    schema = bridge.provider.data_source(rule.source)
    question = schema.block.empty()
    for name, argument in rule.arguments.items():
        question[name] = _answers(schema, name, argument, values)
    return schema, question


def _answers(schema: Schema, name: str, argument: Any, values: Mapping[str, Any]) -> Any:
    if (nested := schema.block.blocks.get(name)) is not None:
        return [nested.block.empty() | _filled_all(item, values) for item in argument]
    text = _filled_all(argument, values)
    return int(text) if schema.block.attributes[name].type == "number" else text


def _filled_all(argument: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(argument, Mapping):
        return {name: _filled_all(item, values) for name, item in argument.items()}
    if isinstance(argument, list | tuple):
        return [_filled_all(item, values) for item in argument]
    return _filled(argument, values)


def _filled(template: str, values: Mapping[str, Any]) -> str:
    try:
        text = string.Formatter().vformat(template, (), values)
    except (KeyError, TypeError) as error:
        raise _NotKnown from error
    if "None" in text:  # a field that is null formats as this
        raise _NotKnown
    return text


def _account(bridge: Bridge, template: str) -> dict[str, str]:
    """What ARNs are made of."""
    if "{account}" not in template:
        return {}
    identity = bridge.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})
    partition = bridge.invoke("aws:index/getPartition:getPartition", {})
    return {"account": identity["accountId"], "partition": partition["partition"], "region": bridge.region}
