"""What a channel requires before it is changed.

`infra` declares and enforces it, `registry.channels.promotion` decides by it. Nothing here knows a cloud or a library,
so that both can import it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

_PERSON = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
"""The name of a role's session, which is where a person's name stands in an ARN.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""
_CLASS = r"[^\s\"'%{}]{1,63}"
_METRIC = re.compile(rf"[a-z][a-z0-9_]*({_CLASS})?")
_COMPARABLE = re.compile(
    r"(balanced_)?accuracy(_low)?|consistency(_low)?"
    rf"|(recall|precision|f1|auroc|unseen_accuracy|unseen_accuracy_low|unseen_balanced_accuracy)_{_CLASS}"
)
COMPARABLE = "accuracy, balanced_accuracy, consistency, or recall_, precision_, f1_ or auroc_ and a class"
"""The usual ones of the metrics that `comparable` accepts, for errors."""

NONE = "none"
"""Value of `metric` where a channel compares nothing."""


def comparable(metric: str) -> bool:
    """Whether every training measures `metric`, or measures it for some datasets, and a higher value is better."""
    return _COMPARABLE.fullmatch(metric) is not None


class ChannelPolicyInvalid(ValueError):
    """A channel's policy is invalid; the message says which key and what it may be."""


@dataclass(frozen=True, kw_only=True)
class ChannelPolicy:
    """The rule of one channel. The defaults are the strictest that every team can keep."""

    certificate: bool = True
    """Take only versions with a valid certificate, forward and back."""
    two_people: bool = True
    """Who certified a version may not be the one who promotes it."""
    metric: str | None = None
    """Name of a metric that a promoted version must have at or above that of the version in place."""
    gates: bool = True
    """Take only versions that were checked against gates (`registry.gates`) and passed all."""
    movers: tuple[str, ...] = ()
    """Names of people who may promote on the channel; empty: everybody who may act as promoter."""

    def to_dict(self) -> dict[str, object]:
        """The form in a stack's configuration and outputs."""
        return {
            "certificate": self.certificate,
            "two_people": self.two_people,
            "metric": self.metric or NONE,
            "gates": self.gates,
            "movers": list(self.movers),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The opposite of `to_dict`, strict: all five keys and no other; ChannelPolicyInvalid."""
        wanted = set(cls.__dataclass_fields__)
        if wanted != set(values):
            raise ChannelPolicyInvalid(
                f"it has the keys {', '.join(sorted(values)) or 'none'}; expected {', '.join(sorted(wanted))}"
            )
        movers = values["movers"]
        if not isinstance(movers, list) or not all(
            isinstance(name, str) and _PERSON.fullmatch(name) for name in cast("list[object]", movers)
        ):
            raise ChannelPolicyInvalid(
                f"`movers` is {movers!r}; expected a list of names of 2 to 64 letters, digits and +=,.@-_"
            )
        metric = values["metric"]
        if not isinstance(metric, str) or not _METRIC.fullmatch(metric):
            raise ChannelPolicyInvalid(f"`metric` is {metric!r}; expected the name of a metric, or '{NONE}'")
        for key in ("certificate", "two_people", "gates"):
            if not isinstance(values[key], bool):
                raise ChannelPolicyInvalid(f"`{key}` is {values[key]!r}; expected true or false")
        if values["two_people"] and not values["certificate"]:
            raise ChannelPolicyInvalid("`two_people` is true; it needs `certificate`, for it is about who certified")
        return cls(
            certificate=values["certificate"],
            two_people=values["two_people"],
            metric=None if metric == NONE else metric,
            gates=values["gates"],
            movers=tuple(cast("list[str]", movers)),
        )


STRICT = ChannelPolicy()
"""The rule of a channel that no stack declares."""
