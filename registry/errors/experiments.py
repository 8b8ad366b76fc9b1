"""Errors of experiments."""

from registry.errors import Malformed, RegistryError


class ExperimentMalformed(Malformed):
    """An entry of an experiments' log that does not parse, or is invalid."""

    what = "an experiment's entry"


class ExperimentRunning(RegistryError):
    """A channel has one experiment at a time, and the last one has not ended."""

    def __init__(self, channel: str, *, number: int, version: int, by: str, at: str) -> None:
        super().__init__(
            expected=f"channel {channel} without an experiment",
            actual=f"experiment {number} with version {version}, begun by {by} at {at}",
            next=f"Wait for its end, or end it: petpark experiment stop --channel {channel}",
        )


class ExperimentEnded(RegistryError):
    """Somebody ended the experiment first, or the log has no such experiment."""

    def __init__(self, channel: str, number: int, *, actual: str) -> None:
        super().__init__(
            expected=f"experiment {number} of channel {channel} to be running",
            actual=actual,
            next=f"Look at it: petpark experiment show --channel {channel}",
        )


class ExperimentVoid(RegistryError):
    """While an experiment was begun, what it was decided upon changed. It was begun, and no endpoint takes it up."""

    def __init__(self, channel: str, number: int, *, expected: str, actual: str) -> None:
        super().__init__(
            expected=f"{expected} when experiment {number} of channel {channel} was begun",
            actual=actual,
            next="The experiment stands in the log, and endpoints do not take it up as it is. Stop it: petpark "
            f"experiment stop --channel {channel} --why ...",
        )


class NoExperiment(RegistryError):
    """No experiment is running."""

    def __init__(self, channel: str) -> None:
        super().__init__(
            expected=f"an experiment on channel {channel}",
            actual="none",
            next="Start one: petpark experiment start VERSION --channel " + channel,
        )


class NoChampion(RegistryError):
    """A channel that never moved has nothing to compare with."""

    def __init__(self, channel: str) -> None:
        super().__init__(
            expected=f"an active version on channel {channel}",
            actual="none: it never moved",
            next="Promote a version first: petpark promote VERSION --channel " + channel,
        )


class SameVersion(RegistryError):
    """The challenger is the active version already."""

    def __init__(self, channel: str, version: str) -> None:
        super().__init__(
            expected=f"another version than the active one of channel {channel}",
            actual=version,
            next="Name another: petpark models list",
        )
