"""A channel was not moved, or its new version changed during the move."""

from registry.errors.base import RegistryError


class ChannelMoved(RegistryError):
    """Somebody else moved the channel first; `entry` is the number of the last entry now (0: none)."""

    def __init__(self, channel: str, *, expected: int, entry: int, actual: str) -> None:
        """`actual`: the last entry, in words."""
        super().__init__(
            expected=f"channel {channel} at entry {expected}",
            actual=actual,
            next="Look at that move; then decide again.",
        )
        self.entry = entry


class NothingToRollBackTo(RegistryError):
    """The channel has no such earlier state."""

    def __init__(self, channel: str, *, expected: str, actual: str) -> None:
        super().__init__(
            expected=f"{expected} in the history of channel {channel}",
            actual=actual,
            next="`petpark models history` shows earlier versions; to activate another one, promote it.",
        )


class RolledBackBefore(RegistryError):
    """The version to restore is one that was rolled back: this needs confirmation."""

    def __init__(self, channel: str, version: int, *, left: str) -> None:
        """`left`: when, for what, by whom and why, in words."""
        super().__init__(
            expected=f"a version for channel {channel} that was not rolled back",
            actual=f"version {version}, left {left}",
            next="To bring it back all the same: `petpark rollback --yes`; another: `--to VERSION`.",
        )


class SamePerson(RegistryError):
    """A channel wants two people: one who certifies a version, and another who promotes it."""

    def __init__(self, channel: str, version: str, *, by: str, certified_by: str) -> None:
        super().__init__(
            expected=f"channel {channel} to be moved to {version} by a person who did not certify it",
            actual=f"{by}; it was certified by {certified_by}",
            next="Ask another person to promote it.",
        )
        self.public = "one person who certified and promoted it"


class MoverRefused(RegistryError):
    """A channel may be moved by some people only."""

    def __init__(self, channel: str, *, by: str, movers: tuple[str, ...]) -> None:
        super().__init__(
            expected=f"channel {channel} to be moved by {' or '.join(movers)}",
            actual=by,
            next="Ask one of them, or have your name added to `petpark:channels` in the stack that owns the platform.",
        )


class MetricBelow(RegistryError):
    """A channel wants a metric at or above that of the version in place."""

    def __init__(self, version: str, *, metric: str, least: float, actual: float | None, in_place: str) -> None:
        super().__init__(
            expected=f"{version} with {metric} of at least {least:g}, that of {in_place}",
            actual="no such metric" if actual is None else f"{actual:g}",
            next=f"Promote a version that is no worse, or change the channel's `metric` in `petpark:channels`. "
            f"`petpark models list` shows {metric} of every version.",
        )


class GatesFailed(RegistryError):
    """A channel takes only versions that passed all their gates; `failed` names those that this one did not pass."""

    def __init__(self, channel: str, version: str, *, number: int, failed: tuple[str, ...]) -> None:
        super().__init__(
            expected=f"{version} with every gate passed, as channel {channel} requires",
            actual=f"failed: {', '.join(failed)}" if failed else "no gates were checked",
            next=f"`petpark models report {number}` says by how much and what to try; train again with that. Or change "
            f"`petpark:gates`, or the channel's `gates` in `petpark:channels`, in the stack that owns the platform.",
        )
        self.failed = failed


class ReasonMissing(RegistryError):
    """A decision of a person carries the reason for it. Nothing was added."""

    def __init__(self, what: str, actual: str = "an empty one") -> None:
        super().__init__(
            expected=f"{what} that is not blank",
            actual=actual,
            next="Write a few words for those who read the log later.",
        )


class DecidedAfterMove(RegistryError):
    """While a channel was moved to a version, that version was revoked or refused. The channel was moved."""

    def __init__(self, channel: str, *, entry: int, version: int, actual: str) -> None:
        super().__init__(
            expected=f"a valid certificate for version {version} when entry {entry} of channel {channel} was written",
            actual=actual,
            next="The channel names that version now, and endpoints that require certificates do not serve it. "
            f"Move it again: `petpark rollback --channel {channel}`.",
        )
        self.entry = entry
