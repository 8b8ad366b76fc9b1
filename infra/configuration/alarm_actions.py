"""Actions of alarms, read from `petpark:alarm_actions`. Pure. docs/design/alarms.md"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class Severity(StrEnum):
    """`page`: notify the on-call engineer now; `ticket`: can wait for a working day."""

    PAGE = "page"
    TICKET = "ticket"


class Action(StrEnum):
    """What an alarm can do."""

    PAGE = "page"
    TICKET = "ticket"
    CHAT = "chat"
    ROLLBACK = "rollback"
    START_PIPELINE = "start-pipeline"

    @property
    def changes(self) -> bool:
        """Whether it does more than notify; such an action runs only when the alarm starts."""
        return self in {Action.ROLLBACK, Action.START_PIPELINE}


ALARMS: Final = (
    *("errors", "balancer", "latency", "in-service", "refused", "store", "certification", "tls"),
    *("disk", "other-version", "telemetry-lost"),
    *("availability-page", "availability-ticket", "latency-page", "latency-ticket"),
    *("drift", "silent-camera", "accuracy", "pipeline-failed", "spending"),
)
"""Names of all alarms; each has an entry in docs/runbook.md."""

DEFAULTS: Final[Mapping[str, tuple[Action, ...]]] = MappingProxyType(
    {Severity.PAGE: (Action.PAGE,), Severity.TICKET: (Action.TICKET,)}
)

EXPECTED: Final = (
    "a map from alarms (page, ticket, or a name in docs/runbook.md) to lists of page, ticket, chat, rollback, "
    "start-pipeline"
)


class AlarmActionsInvalid(ValueError):
    """`petpark:alarm_actions` is invalid; `problems` has a sentence for each wrong entry."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class AlarmActions:
    """The actions of each alarm: by its name, else by its severity."""

    rules: Mapping[str, tuple[Action, ...]]

    def of(self, alarm: str, severity: Severity) -> tuple[Action, ...]:
        """Returns the actions of an alarm; `alarm` is one of `ALARMS`."""
        return self.rules.get(alarm, self.rules.get(severity, DEFAULTS[severity]))

    @property
    def used(self) -> frozenset[Action]:
        """All actions in any entry."""
        return frozenset(action for actions in self.rules.values() for action in actions)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "AlarmActions":
        """Parse the setting strictly. Raises `AlarmActionsInvalid`."""
        wrong: list[str] = []
        rules: dict[str, tuple[Action, ...]] = {}
        for name, value in values.items():
            if name not in ALARMS and name not in set(Severity):
                wrong.append(f"{name} is not an alarm; expected one of {', '.join([*Severity, *ALARMS])}")
                continue
            try:
                rules[name] = _actions(value)
            except ValueError:
                wrong.append(f"{name} is {value!r}; expected a list without duplicates of {', '.join(Action)}")
        if wrong:
            raise AlarmActionsInvalid(sorted(wrong))
        return cls(rules=MappingProxyType(rules))


NO_ACTIONS: Final = AlarmActions(rules=MappingProxyType({}))
"""The defaults: pages and tickets go to their topics."""


def _actions(value: Any) -> tuple[Action, ...]:
    if not isinstance(value, list) or len({str(each) for each in value}) != len(value):
        raise ValueError
    return tuple(map(Action, value))
