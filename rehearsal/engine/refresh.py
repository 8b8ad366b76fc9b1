"""Brings the state to what is really there: in a refresh every resource, after a crash the steps in flight."""

import re
import string
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rehearsal.engine import plan as planning
from rehearsal.engine.apply import Worker
from rehearsal.engine.display import Step
from rehearsal.engine.errors import EngineError, ProviderDiagnostics
from rehearsal.engine.provider.client import Applied
from rehearsal.engine.state import Record, State
from rehearsal.engine.translation.resources import Kind, Resources
from rehearsal.engine.translation.type_table import Lookup
from rehearsal.engine.values import Fields

_ABSENT = re.compile(
    r"not ?found|no matching|no results|0 results|couldn't find|does not exist|NoSuch|non-existent", re.I
)


def refresh_all(worker: Worker, *, parallel: int, cancelled: Callable[[], bool]) -> None:
    """Read every resource of the stack. Report and record drift; remove deleted resources from the state.

    A difference in what only AWS sets is saved and counted as "same", as the official engine does; what the program
    wanted and no longer is, is an update.
    """

    def one(record: Record) -> None:
        if not cancelled():
            _refresh(worker, record)

    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="refresh") as pool:
        list(pool.map(one, worker.state.resources.values()))
    worker.state.save()


def _refresh(worker: Worker, record: Record) -> None:
    began = time.monotonic()
    try:
        fresh = _refreshed(worker.resources, record)
        changed = () if fresh is None else planning.drift(worker.resources, record, fresh)
    except EngineError as error:
        worker.reporter.failure(f"{record.label}: {error}", Step.on(record, "same", began=began))
        return
    if fresh is None:
        worker.state.forget(record)
        worker.reporter.finished(Step.on(record, "delete", began=began))
        return
    if fresh != record:
        worker.state.swap(record, fresh)
    worker.reporter.finished(Step.on(fresh, "update" if changed else "same", changes=changed, began=began))


def _refreshed(resources: Resources, record: Record) -> Record | None:
    """`record` with the resource's current state; None if it no longer exists."""
    if record.provider_state is None:
        return record.settled()
    kind = resources.kind(record.type)
    now = resources.provider.read(
        kind.schema, resources.known(record.provider_state, kind), record.provider_state.private
    )
    return None if now.state is None else resources.completed(kind, record.settled(), now.state, now.private)


def recover(state: State, resources: Resources, *, report: Callable[[str], None]) -> None:
    """Settle every pending step of `state`; raises `EngineError` for a creation that cannot be found again."""
    lost: list[str] = []
    for record in [*state.resources.values(), *state.pending_deletes]:
        if record.pending == "create":
            _recover_creation(state, resources, record, report, lost)
        elif record.pending:
            verb = "deleted" if record.pending == "delete" else "updated"
            report(f"{record.label} was being {verb} when the last operation was interrupted; read it again.")
            fresh = _refreshed(resources, record)
            if fresh is None:
                state.forget(record)
            else:
                state.swap(record, fresh)
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


def _recover_creation(
    state: State, resources: Resources, record: Record, report: Callable[[str], None], lost: list[str]
) -> None:
    kind = resources.kind(record.type)
    found = _find(resources, kind, record.planned)
    cut_off = f"{record.label} was being created when the last operation was cut off"
    if found is not None and found.state is not None:
        report(f"{cut_off}; found it again.")
        state.swap(record, resources.completed(kind, record.settled(), found.state, found.private))
    elif found is not None or kind.row.repeatable:
        report(f"{cut_off}; it starts over.")
        state.swap(record, record.settled())
    else:
        lost.append(record.urn)


def _find(resources: Resources, kind: Kind, planned: Fields) -> Applied | None:
    """The resource that was planned so, state None if it does not exist; None if there is no way to find it."""
    rule = kind.row.find
    if rule is None:
        return None
    values = planned | {"tags": planned.get("tags_all") or planned.get("tags")}
    try:
        if isinstance(rule, Lookup):
            found = _look_up(resources, rule, values)
            if isinstance(found, list):
                return _like(resources, kind, found, planned)
            key = str(found)
        else:
            key = _filled(rule, values | _account(resources, rule))
        return resources.provider.find(kind.schema, key)
    except _NotKnown:
        return None
    except ProviderDiagnostics as error:
        if _ABSENT.search(str(error)):
            return Applied(state=None)
        raise


def _like(resources: Resources, kind: Kind, identifiers: Sequence[str], planned: Fields) -> Applied:
    """The one of the resources `identifiers` that is as it was planned; state None if there is none."""
    known = {name: value for name, value in planned.items() if value not in (None, "", [], {})}
    for identifier in identifiers:
        found = resources.provider.find(kind.schema, identifier)
        if found.state is not None and all(found.state.get(name) == value for name, value in known.items()):
            return found
    return Applied(state=None)


class _NotKnown(Exception):
    """A template needs a field that was not known when the creation began."""


def _look_up(resources: Resources, rule: Lookup, values: Mapping[str, Any]) -> Any:
    """What the data source of `rule` answers: an identifier, or several."""
    schema = resources.provider.data_source(rule.source)
    question = schema.block.empty()
    for name, argument in rule.arguments.items():
        filled = _filled(argument, values)
        if (nested := schema.block.blocks.get(name)) is not None:
            question[name] = [nested.block.empty() | item for item in filled]
        else:
            question[name] = int(filled) if schema.block.attributes[name].type == "number" else filled
    return resources.provider.read_data(schema, question)[rule.result]


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    """`template` with `values` in place of its names, at any depth; raises `_NotKnown` for one that is null."""
    if isinstance(template, Mapping):
        return {name: _filled(item, values) for name, item in template.items()}
    if isinstance(template, list):
        return [_filled(item, values) for item in template]
    try:
        text = string.Formatter().vformat(template, (), values)
    except (KeyError, TypeError) as error:
        raise _NotKnown from error
    if "None" in text:  # a field that is null formats as this
        raise _NotKnown
    return text


def _account(resources: Resources, template: str) -> dict[str, str]:
    """What ARNs are made of."""
    if "{account}" not in template:
        return {}
    identity = resources.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})
    partition = resources.invoke("aws:index/getPartition:getPartition", {})
    return {"account": identity["accountId"], "partition": partition["partition"], "region": resources.region}
