"""The active version of each channel at a past time, from the channels' entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from petpark.models import model_versions
from petpark.targets.target import Target
from registry.encoding import parse_time
from registry.layout.roles import Role

if TYPE_CHECKING:
    from registry.certificates.certificate import Certificate
    from registry.channels.channel import ChannelEntry
    from registry.channels.experiment import Entry, Experiment
    from registry.version import Version


class Numbered(Protocol):
    """An entry of a log."""

    @property
    def number(self) -> int:
        """Its number in the log, from 1."""
        ...

    @property
    def at(self) -> str:
        """The writer's time of writing, in UTC."""
        ...


@dataclass(frozen=True, kw_only=True)
class ActiveThen:
    """The active version of a channel at a past time. `entry` None: none yet."""

    channel: str
    entry: ChannelEntry | None
    following: ChannelEntry | None
    """The next entry, which has its hash and replaced it; None if it is the last one."""
    certificate: Certificate | None
    """The decision about its version that was valid then; None if there was none."""
    experiment: Experiment | None
    """The experiment on the channel."""


def last_by[E: Numbered](entries: Iterable[E], moment: datetime) -> E | None:
    """Returns the entry with the highest number of those made by `moment`; entries in any order.

    Later entries never change the result. Writers' clocks may differ: the order of the log counts.
    """
    by_then = (entry for entry in entries if parse_time(entry.at) <= moment)
    return max(by_then, key=lambda entry: entry.number, default=None)


def after[E: Numbered](entries: Iterable[E], entry: E | None) -> E | None:
    """Returns the entry that follows `entry`, or the first one for None."""
    number = 0 if entry is None else entry.number
    return min((each for each in entries if each.number > number), key=lambda each: each.number, default=None)


def experiment_at(entries: Sequence[Entry], moment: datetime, champion: ChannelEntry | None) -> Experiment | None:
    """Returns the experiment with `champion` that ran at `moment`: started, and neither ended nor expired."""
    from registry.channels.experiment import Experiment

    last = last_by(entries, moment)
    if not isinstance(last, Experiment) or champion is None or last.entry != champion.number:
        return None
    return last if moment < parse_time(last.until) else None


def decision_at(target: Target, version: Version, moment: datetime) -> Certificate | None:
    """Returns the decision about a version that was valid at `moment`, or None."""
    from registry.certificates.certificate import Certificate, Certificates

    store, verifier = target.store(target.outputs.model_store, role=Role.READER), target.verifier(role=Role.READER)
    entries = Certificates(store, version.model).entries(version, verifier).values()
    return last_by([entry for entry in entries if isinstance(entry, Certificate)], moment)


def active_at(target: Target, moment: datetime, channels: Sequence[str] = ()) -> list[ActiveThen]:
    """Returns the active versions of `channels` (empty: all) at `moment`, which has a time zone.

    Reads each log whole and checks its hash chain. Raises the registry's `HistoryBroken`.
    """
    return [_active(target, name, moment) for name in channels or model_versions.channels(target)]


def _active(target: Target, name: str, moment: datetime) -> ActiveThen:
    from registry.channels.experiment import Experiments

    entries = model_versions.channel(target, name).history()
    entry = last_by(entries, moment)
    certificate, experiment = None, None
    if entry is not None:
        store = target.store(target.outputs.model_store, role=Role.READER)
        certificate = decision_at(target, model_versions.version(target, entry.version), moment)
        experiment = experiment_at(Experiments(store, target.outputs.model, name).history(), moment, entry)
    return ActiveThen(
        channel=name,
        entry=entry,
        following=after(entries, entry),
        certificate=certificate,
        experiment=experiment,
    )
