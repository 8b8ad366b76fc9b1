"""What was in force on each channel at a moment in the past, by the entries that say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from petpark.models import model_versions
from petpark.targets.target import Target
from registry.encoding import parse_time
from registry.layout import Role

if TYPE_CHECKING:
    from registry.certificates.certificate import Certificate
    from registry.channels.channel import ChannelEntry
    from registry.channels.experiment import Entry, Experiment
    from registry.version import Version


class Numbered(Protocol):
    """An entry of a log."""

    @property
    def number(self) -> int: ...  # noqa: D102
    @property
    def at(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class ActiveThen:
    """What a channel stood at. `entry` None: nothing yet."""

    channel: str
    entry: ChannelEntry | None
    following: ChannelEntry | None
    """The entry after it, which carries its hash and ended it; None: it is the last one."""
    certificate: Certificate | None
    """The decision about its version that counted then; None: none was made by then."""
    experiment: Experiment | None
    """What ran on the channel."""


def last_by[E: Numbered](entries: Iterable[E], moment: datetime) -> E | None:
    """Returns the entry with the highest number of those that were made by `moment`; entries in any order.

    Later entries never change the answer. Clocks of writers may differ: what counts is the order of the log.
    """
    by_then = (entry for entry in entries if parse_time(entry.at) <= moment)
    return max(by_then, key=lambda entry: entry.number, default=None)


def after[E: Numbered](entries: Iterable[E], entry: E | None) -> E | None:
    """Returns the entry that follows `entry`; the first one for None."""
    number = 0 if entry is None else entry.number
    return min((each for each in entries if each.number > number), key=lambda each: each.number, default=None)


def experiment_at(entries: Sequence[Entry], moment: datetime, champion: ChannelEntry | None) -> Experiment | None:
    """Returns the experiment that ran at `moment` beside `champion`: begun by then, neither ended nor run out."""
    from registry.channels.experiment import Experiment

    last = last_by(entries, moment)
    if not isinstance(last, Experiment) or champion is None or last.entry != champion.number:
        return None
    return last if moment < parse_time(last.until) else None


def decision_at(target: Target, version: Version, moment: datetime) -> Certificate | None:
    """Returns the valid decision about a version that counted at `moment`; None where there was none by then."""
    from registry.certificates.certificate import Certificate, Certificates

    store, verifier = target.store(target.outputs.model_store, role=Role.READER), target.verifier(role=Role.READER)
    entries = Certificates(store, version.model).entries(version, verifier).values()
    return last_by([entry for entry in entries if isinstance(entry, Certificate)], moment)


def active_at(target: Target, moment: datetime, channels: Sequence[str] = ()) -> list[ActiveThen]:
    """Returns what was in force on `channels` (none named: all) at `moment`, which has a time zone.

    Each log is read whole and its chain of hashes checked: raises the registry's `HistoryBroken`.
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
