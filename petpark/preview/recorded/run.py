"""The plan of a stack from a record: runs the program in the embedded engine's program host. Needs no network."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petpark.errors import RecordUnreadable
from petpark.preview.plan import STATEFUL
from petpark.preview.pulumi_json import ASSETS, SECRET, SIGNATURE
from petpark.preview.recorded import steps
from petpark.preview.recorded.record import Answer, RecordedResource, StackRecord
from petpark.preview.recorded.states import asset

if TYPE_CHECKING:
    from rehearsal.engine.plan import Goal
    from rehearsal.engine.recorded.provider import OfflineProvider
    from rehearsal.engine.state import Record
    from rehearsal.engine.values import Fields, Properties

type Ask = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Token and arguments of a data source -> its result."""


@dataclass(frozen=True, kw_only=True)
class RecordedPreview:
    """The result of one run. `document` has the format of `pulumi preview --json`.

    `provider`: whether the AWS provider determined which changes force replacements; `undecided` names the changed
    resources that it could not plan.
    """

    document: dict[str, Any]
    answers: tuple[Answer, ...]
    references: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...]
    provider: bool
    undecided: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Returns the limits of a plan that was made this way, for its readers."""
        asked = sorted({each.token.rpartition(":")[2] for each in self.answers})
        found = [f"data sources from the record: {', '.join(asked)}"] if asked else []
        if self.references:
            found.append(f"outputs of other stacks from the record: {', '.join(sorted(self.references))}")
        if self.undecided:
            why = "the AWS provider could not plan these" if self.provider else "the AWS provider was not available"
            found.append(f"each of these changes may be a replacement, because {why}: {', '.join(self.undecided)}")
        return tuple(found)


def preview(record: StackRecord, root: Path, *, ask: Ask | None = None, use_provider: bool = True) -> RecordedPreview:
    """Returns what the program at `root` would change in the recorded stack.

    Data sources are read with `ask`; None: from the record. Raises `RecordUnreadable` for a record of another project.
    """
    from rehearsal.engine.errors import ConfigurationRefused, EngineError
    from rehearsal.engine.recorded import program
    from rehearsal.engine.recorded.provider import offline_provider

    config = program.configuration(root, record.stack)
    with contextlib.ExitStack() as stack:
        provider: OfflineProvider | None = None
        if use_provider:
            with contextlib.suppress(EngineError):
                provider = stack.enter_context(offline_provider(root, config.values.get("aws:region", "")))
        run = _Run(record=record, root=root, provider=provider, ask=ask, settings=_settings(config.values))
        answers = program.Answers(resource=run.resource, data_source=run.data_source, reference=run.reference)
        try:
            done = program.declare(root, record.stack, answers)
        except ConfigurationRefused as error:
            raise RecordUnreadable(str(error), next_step="Run petpark in the checkout of petpark.") from None
    return RecordedPreview(
        document=steps.document(
            [run.declared(goal) for goal in done.goals],
            record.resources,
            provider=run.settings,
            forcing=run.forcing,
            errors=done.errors,
        ),
        answers=tuple(run.answers.values()),
        references=run.references,
        warnings=done.warnings,
        provider=provider is not None,
        undecided=tuple(sorted(run.undecided)),
    )


@dataclass(kw_only=True)
class _Run:
    """The engine side of one program run; its methods are called from many threads."""

    record: StackRecord
    root: Path
    provider: OfflineProvider | None
    ask: Ask | None
    settings: steps.ProviderSettings
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    references: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    forcing: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    undecided: set[str] = field(default_factory=set[str])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._by_urn = {each.urn: each for each in self.record.resources}
        self._known = {_key(each.token, each.arguments): each for each in self.record.answers}

    def declared(self, goal: Goal) -> steps.Declared:
        """Returns the goal without the engine's types."""
        one = goal.record
        return steps.Declared(
            urn=one.urn,
            type=one.type,
            custom=one.custom,
            inputs={
                name: SECRET if name in one.secrets else _json(value, self.root) for name, value in one.inputs.items()
            },
            protect=one.protect,
            retain=one.retain,
            aliases=goal.aliases,
            refers=one.property_dependencies,
        )

    def resource(self, goal: Goal) -> Record:
        """Returns the resource's outputs: as recorded if unchanged, else as far as the provider can plan them."""
        from dataclasses import replace

        wanted, new = goal.record, self.declared(goal)
        old = steps.recorded_as(new, self._by_urn)
        if not wanted.custom:
            return wanted
        if old is None or old.sealed:
            return replace(wanted, outputs=_unknown(wanted), id=old.id if old else "")
        found = steps.difference(old, new, self.settings)
        outputs = {name: _value(value) for name, value in old.outputs.items()}
        hidden = frozenset(name for name, value in old.outputs.items() if _hides(value))
        if not found.names:
            return replace(wanted, outputs=outputs, secrets=wanted.secrets | hidden, id=old.id)
        unknown = self._foresee(old, wanted, found.names)
        if unknown is None:
            return replace(wanted, outputs=_unknown(wanted), id="")
        left = {name: value for name, value in outputs.items() if name not in unknown}
        gone = {name: value for name, value in _unknown(wanted).items() if name in unknown}
        return replace(wanted, outputs=gone | left | wanted.inputs, secrets=wanted.secrets | hidden, id=old.id)

    def _foresee(self, old: RecordedResource, wanted: Record, changed: frozenset[str]) -> frozenset[str] | None:
        """The outputs that are known only after the change; None if it replaces the resource."""
        from rehearsal.engine.errors import EngineError
        from rehearsal.engine.recorded.provider import Recorded

        if self.provider is not None:
            try:
                seen = self.provider.foresee(Recorded(id=old.id, inputs=old.inputs, outputs=old.outputs), wanted)
            except EngineError:
                pass
            else:
                with self.lock:
                    self.forcing[wanted.urn] = seen.forcing & changed
                return None if seen.forcing & changed else seen.unknown
        with self.lock:
            self.undecided.add(f"{wanted.name}{' (holds data)' if wanted.type in STATEFUL else ''}")
        return frozenset()

    def data_source(self, token: str, arguments: Fields) -> Fields:
        """Returns the recorded result, or a fresh one."""
        from rehearsal.engine.errors import Unsupported

        given = _json(arguments, self.root)
        key = _key(token, given)
        with self.lock:
            found = self.answers.get(key) or (None if self.ask is not None else self._known.get(key))
        if found is None and self.ask is not None:
            found = Answer(token=token, arguments=given, result=dict(self.ask(token, given)))
        if found is None:
            raise Unsupported(
                f"The record has no result of {token} for {json.dumps(given, sort_keys=True)}. Without credentials, "
                "this part of the plan cannot be made; the deploy job's record will have it."
            )
        with self.lock:
            self.answers[key] = found
        return _value(found.result)

    def reference(self, name: str) -> Properties:
        """Returns the recorded outputs of another stack."""
        from rehearsal.engine.errors import StackMissing
        from rehearsal.engine.values import Properties

        if name not in self.record.references:
            raise StackMissing(f"The record has no outputs of stack {name}, to which the program refers.")
        outputs = self.record.references[name]
        with self.lock:
            self.references[name] = outputs
        return Properties(
            values={key: _value(value) for key, value in outputs.items()},
            secrets=frozenset(key for key, value in outputs.items() if _hides(value)),
        )


def _settings(config: Mapping[str, str]) -> steps.ProviderSettings:
    try:
        found: Any = json.loads(config.get("aws:defaultTags", "{}"))
    except ValueError:
        found = {}
    tags = found.get("tags") if isinstance(found, Mapping) else None
    return steps.ProviderSettings(
        region=config.get("aws:region", ""), default_tags=tags if isinstance(tags, Mapping) else {}
    )


def _key(token: str, arguments: Mapping[str, Any]) -> str:
    return json.dumps([token, arguments], sort_keys=True)


def _unknown(wanted: Record) -> Fields:
    """All outputs of a resource, known only after the deployment, except its inputs."""
    from rehearsal.engine.translation import names
    from rehearsal.engine.values import UNKNOWN

    return {**dict.fromkeys(names.resource(wanted.type), UNKNOWN), **wanted.inputs}


def _json(value: Any, root: Path) -> Any:
    """A declared value in Pulumi's JSON."""
    from rehearsal.engine.values import UNKNOWN, UNKNOWN_MARK

    if value is UNKNOWN:
        return UNKNOWN_MARK
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) in ASSETS:
            return asset({**value, "hash": _hash(value, root)})
        return {str(name): _json(each, root) for name, each in value.items()}
    return [_json(each, root) for each in value] if isinstance(value, list) else value


def _hash(value: Mapping[str, Any], root: Path) -> str:
    """The SHA-256 of an asset's content, as Pulumi's engine computes it; empty for an archive."""
    import hashlib

    if "text" in value:
        return hashlib.sha256(str(value["text"]).encode()).hexdigest()
    file = root / str(value.get("path", ""))
    if not file.is_file():
        return ""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _value(value: Any) -> Any:
    """A recorded value for the program; a secret is unknown."""
    from rehearsal.engine.values import UNKNOWN

    if isinstance(value, Mapping):
        if SIGNATURE in value:
            return dict(value) if value[SIGNATURE] in ASSETS else UNKNOWN
        return {name: _value(each) for name, each in value.items() if not name.startswith("__")}
    return [_value(each) for each in value] if isinstance(value, list) else value


def _hides(value: Any) -> bool:
    """Whether the value contains a secret at any depth."""
    inner: Iterator[Any] = iter(())
    if isinstance(value, Mapping):
        if SIGNATURE in value:
            return value[SIGNATURE] not in ASSETS
        inner = iter(value.values())
    elif isinstance(value, list):
        inner = iter(value)
    return any(map(_hides, inner))
