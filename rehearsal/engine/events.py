"""What an operation tells while it runs and when it ends. Nothing in here holds a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

type Operation = Literal["preview", "up", "refresh", "destroy"]
type Op = Literal["same", "create", "update", "replace", "delete"]

SECRET_TEXT = "[secret]"  # noqa: S105 — what is shown instead of one
UNKNOWN_TEXT = "[unknown]"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One property that differs; `kind` is as in the official CLI's detailed diff, with `-replace` if it forces one."""

    path: str
    kind: str
    old: Any = None
    new: Any = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """What was (or would be) done to one resource."""

    op: Op
    urn: str
    type: str
    name: str
    custom: bool = True
    id: str = ""
    parent: str = ""
    inputs: Mapping[str, Any] | None = None
    changes: tuple[Change, ...] = ()
    old: Mapping[str, Any] | None = None
    new: Mapping[str, Any] | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened just now: a step `started`, `finished` or `failed`, a `message`, or `outputs`.

    `outputs`: the stack's own are known and can be read, though steps on which they do not depend may still go on.
    """

    kind: Literal["started", "finished", "failed", "message", "outputs"]
    text: str = ""
    severity: Literal["info", "warning", "error"] = "info"
    step: Step | None = None


@dataclass(frozen=True, kw_only=True)
class Update:
    """How an operation ended."""

    kind: Operation
    stack: str
    ok: bool
    changes: Mapping[str, int]
    outputs: Mapping[str, Any]
    steps: tuple[Step, ...]
    errors: tuple[str, ...]
    seconds: float
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StackResource:
    """A deployed resource, for drawing the architecture."""

    urn: str
    type: str
    name: str
    parent: str
    dependencies: tuple[str, ...]
    id: str
    outputs: Mapping[str, Any]
