"""What the agent records: that a visit began, and that it ended."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from registry.encoding import format_time

type EventKind = Literal["began", "ended"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event, as it lies in the spool and in the data lake. Times are as `format_time` writes them."""

    id: str
    kind: EventKind
    visit: str
    camera: str
    label: str
    score: float
    """Highest probability of the label in the visit so far."""
    at: str
    """When the visit began; of an `ended` event, when the animal was last seen."""
    seconds: float
    """From the first frame of the visit to the last, by a clock that never jumps."""
    why: str | None
    """Of an `ended` event: see `Ending`."""
    clock: str
    """Whose clock `at` comes from: see `TimeSource`."""
    model: Mapping[str, Any]
    """Name, version and digest of the model that gave the score."""

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Event":
        """The opposite of `to_dict`."""
        return cls(**fields)

    @classmethod
    def from_json(cls, text: str) -> "Event":
        """The opposite of `to_json`."""
        return cls.from_dict(json.loads(text))

    def to_json(self) -> str:
        """The event as the text of a JSON object."""
        return json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True)


def new_id() -> str:
    """An id that nobody else has: 128 random bits in hexadecimal."""
    return secrets.token_hex(16)


def written(seconds: float) -> str:
    """Seconds since 1970 as a stored time."""
    return format_time(datetime.fromtimestamp(seconds, UTC))
