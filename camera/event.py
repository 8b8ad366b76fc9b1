"""Events of the agent: a visit began, a visit ended."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn, cast, get_args

from registry.encoding import Fields, format_time, parse_time

type EventKind = Literal["began", "ended"]


_KINDS = re.compile("|".join(get_args(EventKind.__value__)))


class EventMalformed(ValueError):
    """The text is not a valid event, or the event cannot be stored."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event, as stored in the spool and in the data lake. Times have the format of `format_time`."""

    id: str
    kind: EventKind
    visit: str
    camera: str
    label: str
    score: float
    """Highest probability of the label in the visit so far."""
    at: str
    """When the visit began; in an `ended` event, when the animal was last seen."""
    seconds: float
    """Seconds from the first frame of the visit to the last, by a monotonic clock."""
    why: str | None
    """In an `ended` event: see `Ending`."""
    clock: str
    """The clock of `at`: see `TimeSource`."""
    model: Mapping[str, Any]
    """Name, version and digest of the model that computed the score."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the event as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, text: str) -> "Event":
        """Returns the event from the text of `to_json`. Raises `EventMalformed` for other text."""
        try:
            fields = Fields(_object(text))
            event = cls(
                **{name: fields.text(name) for name in ("id", "visit", "camera", "label", "at", "clock")},
                kind=cast("EventKind", fields.text("kind", _KINDS)),
                score=fields.number("score"),
                seconds=fields.number("seconds"),
                why=fields.optional_text("why"),
                model=fields.nested("model").rest(),
            )
            fields.done()
            parse_time(event.at)
        except (ValueError, RecursionError) as error:
            raise EventMalformed(str(error) or type(error).__name__) from error
        return event

    def to_json(self) -> str:
        """Returns the event as JSON text. Raises `EventMalformed` if it could not be read back."""
        try:
            text = json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True, allow_nan=False)
            text.encode()  # a lone surrogate has no UTF-8
        except ValueError as error:
            raise EventMalformed(str(error)) from error
        Event.from_json(text)
        return text


def _object(text: str) -> Mapping[str, object]:
    value = json.loads(text, parse_constant=_no_number)
    if not isinstance(value, dict):
        raise EventMalformed("it is not a JSON object")
    return cast("Mapping[str, object]", value)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def new_id() -> str:
    """Returns a unique id: 128 random bits in hexadecimal."""
    return secrets.token_hex(16)


def written(seconds: float) -> str:
    """Returns seconds since 1970 as a stored time."""
    return format_time(datetime.fromtimestamp(seconds, UTC))
