"""The purpose `rollback`: roll a channel back on an alarm if its version may be the cause."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from petpark.models import decisions
from petpark.worker.purposes.findings import Assignment, Findings
from registry.channels.channel import ChannelEntry
from registry.encoding import NAME, Fields, parse_time
from registry.errors import (
    ChannelMoved,
    DecidedAfterMove,
    MoverRefused,
    NotCertified,
    NothingToRollBackTo,
    RolledBackBefore,
)
from registry.layout.roles import Role

_REFUSALS: Final = (DecidedAfterMove, MoverRefused, NotCertified, NothingToRollBackTo, RolledBackBefore)


@dataclass(frozen=True, kw_only=True)
class RollbackInputs:
    """The alarm, and the channel to roll back."""

    stack: str
    """Stack of the alarm."""
    channel: str
    alarm: str
    began: datetime
    """When the alarm's state changed."""
    hours: float
    """A version active for longer than this before the alarm is not considered its cause."""

    @classmethod
    def read(cls, fields: Fields) -> "RollbackInputs":
        """Returns the inputs. Raises ValueError."""
        inputs = cls(
            stack=fields.text("stack"),
            channel=fields.text("channel", NAME),
            alarm=fields.text("alarm"),
            began=datetime.fromisoformat(fields.text("began")),
            hours=fields.number("hours"),
        )
        if inputs.began.tzinfo is None or inputs.hours <= 0:
            raise ValueError("field 'began' needs a time zone, and 'hours' must be above 0")
        return inputs

    @property
    def why(self) -> str:
        """Reason in the channel's entry, by which a repeated attempt recognises the entry."""
        return f"alarm {self.alarm} of stack {self.stack} since {self.began.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def why_not(head: ChannelEntry | None, inputs: RollbackInputs) -> str:
    """Returns why the channel is not rolled back; an empty text if it should be."""
    if head is None:
        return f"{inputs.channel} has no version"
    since = parse_time(head.at)
    where = (
        f"{inputs.channel} has been at version {head.version} since {since:%Y-%m-%d %H:%M} UTC (entry {head.number})"
    )
    if head.is_rollback:
        return f"{where}, by a rollback: a second rollback requires a person"
    if inputs.began <= since:
        return f"{where}, and the alarm started before that"
    if inputs.began - since > timedelta(hours=inputs.hours):
        return f"{where}, more than {inputs.hours:g} hours before the alarm: another cause is more likely"
    return ""


def roll_back(assignment: Assignment) -> Findings:
    """Roll a channel back as promoter, unless `why_not` returns a reason or the channel's rule forbids it.

    Outcomes: `rolled-back` (also if an earlier attempt did it), `kept`, `refused`. Raises OrderMalformed, and the
    registry's errors if the store is unavailable.
    """
    inputs = assignment.order.read(RollbackInputs.read)
    target = assignment.target()
    service = decisions.promotion_service(target, inputs.channel)
    head = service.channel.head()
    if head is not None and head.is_rollback and head.why == inputs.why:
        return _moved(head)
    if (reason := why_not(head, inputs)) or head is None:
        return Findings(outcome="kept", message=reason)
    try:
        entry = service.roll_back(by=target.identity(role=Role.PROMOTER), why=inputs.why, expected=head.number)
    except ChannelMoved as error:
        return Findings(outcome="kept", message=f"the channel changed in the meantime: {error.actual}")
    except _REFUSALS as error:
        text = f"expected {error.expected}; found {error.actual}. {error.next}"
        return Findings(outcome="refused", version=head.version, digest=head.digest, message=text)
    return _moved(entry)


def _moved(entry: ChannelEntry) -> Findings:
    text = f"{entry.channel} is back at version {entry.version} (entry {entry.number}); before: {entry.previous}"
    return Findings(outcome="rolled-back", version=entry.version, digest=entry.digest, message=text)
