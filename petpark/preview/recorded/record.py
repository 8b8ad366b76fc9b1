"""The record of a stack, for plans without AWS account and CLI. Pure, except for reading and writing a file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, Final, Self

from petpark.errors import RecordUnreadable

_FORMAT: Final = 1
_LARGEST: Final = 50_000_000
"""Bytes: some thousand resources with their policies and user data."""
_VERSION: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}\+?|unknown")


@dataclass(frozen=True, kw_only=True)
class RecordedResource:
    """A resource of the stack. `sealed`: its properties are secret in the state, so none are recorded."""

    urn: str
    type: str
    custom: bool
    id: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    protect: bool = False
    sealed: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of a data source: the SDK's token, its arguments and its result."""

    token: str
    arguments: Mapping[str, Any]
    result: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class StackRecord:
    """A stack as it was deployed. `state` is the version of its state, `commit` the program that was deployed.

    `references` are the outputs of other stacks, by the name in the program. `models` is the registry's content
    (`petpark.preview.models.registry_facts`), or None if it could not be read. Raises ValueError for a malformed
    version or commit.
    """

    project: str
    stack: str
    state: str
    commit: str
    resources: tuple[RecordedResource, ...]
    answers: tuple[Answer, ...] = ()
    references: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    models: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.state) or not _COMMIT.fullmatch(self.commit):
            raise ValueError("malformed state version or commit")
        if len({each.urn for each in self.resources}) < len(self.resources):
            raise ValueError("duplicate resource")

    def to_text(self) -> str:
        """Returns JSON with one line per resource; the order of the facts does not change its bytes."""
        facts = asdict(self)
        lists = {
            "resources": sorted(facts.pop("resources"), key=lambda each: each["urn"]),
            "answers": sorted(facts.pop("answers"), key=_spelled),
        }
        head = _spelled({"format": _FORMAT, **facts})[:-1]
        bodies = (f'"{name}": [\n{",\n".join(map(_spelled, each))}\n]' for name, each in lists.items())
        return ",\n".join((head, *bodies)) + "}\n"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Returns the record from the text of `to_text`. Raises `RecordUnreadable`."""
        try:
            facts: Any = json.loads(text)
            if facts.pop("format") == _FORMAT:
                resources = tuple(RecordedResource(**_checked(each, _RESOURCE)) for each in facts.pop("resources"))
                answers = tuple(Answer(**_checked(each, _ANSWER)) for each in facts.pop("answers"))
                return cls(resources=resources, answers=answers, **_checked(facts, _STACK))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass
        raise RecordUnreadable(
            "This is not a record that `petpark state export` wrote, or one of another version of petpark.",
            next_step="petpark state export --stack STACK --out FILE, in the deploy job",
        )


def load(path: Path) -> StackRecord:
    """Returns the record in a file. Raises `RecordUnreadable`."""
    try:
        if path.stat().st_size > _LARGEST:
            raise RecordUnreadable(f"{path} has more than {_LARGEST:,} bytes.", next_step="Name a record.")
        return StackRecord.from_text(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordUnreadable(f"{path} cannot be read: {error.strerror}.", next_step="Name a file.") from None
    except UnicodeDecodeError:
        raise RecordUnreadable(f"{path} is not text in UTF-8.", next_step="Name a record.") from None


_RESOURCE: Final[Mapping[str, type | tuple[type, ...]]] = {
    **dict.fromkeys(("urn", "type", "id"), str),
    **dict.fromkeys(("custom", "protect", "sealed"), bool),
    **dict.fromkeys(("inputs", "outputs"), dict),
}
_ANSWER: Final[Mapping[str, type | tuple[type, ...]]] = {"token": str, "arguments": dict, "result": dict}
_STACK: Final[Mapping[str, type | tuple[type, ...]]] = {
    **dict.fromkeys(("project", "stack", "state", "commit"), str),
    "references": dict,
    "models": (dict, NoneType),
}


def _checked(facts: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]]) -> Mapping[str, Any]:
    """Returns `facts` if it has these members with these types. Raises TypeError, or KeyError for a missing member."""
    if not all(isinstance(facts[name], kind) for name, kind in kinds.items()):
        raise TypeError("another form")
    return facts


def _spelled(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
