"""What an operation comes to, and the events that it writes meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

type Kind = Literal["preview", "up", "refresh", "destroy"]


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the backend records of a stack; `secrets` are names of outputs."""

    resources: list[Any] = field(default_factory=list[Any])
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    secrets: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of an operation, and the stack's state after it. `steps`: those of `preview --json`."""

    changes: Mapping[str, int]
    content: Content
    errors: tuple[str, ...] = ()
    seconds: float = 0.0
    steps: Sequence[Any] = ()


class EventLog:
    """A line of JSON for each engine event (apitype.EngineEvent): to `--event-log`'s file, and printed for `--json`.

    A preview with `--json` prints a report at its end instead, unless PULUMI_ENABLE_STREAMING_JSON_PREVIEW is set.
    """

    def __init__(self, file: str | None, *, printed: bool) -> None:
        self._file = Path(file) if file else None
        self._printed = printed
        self._sequence = 0

    def write(self, kind: str, content: Mapping[str, Any]) -> None:
        """Append one event."""
        line = json.dumps({"sequence": self._sequence, "timestamp": int(time.time()), kind: content})
        self._sequence += 1
        if self._printed:
            print(line, flush=True)
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(line + "\n")
