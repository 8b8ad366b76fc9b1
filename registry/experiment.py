"""A challenger beside the version in force, for a while: a numbered log of beginnings and ends beside a channel's."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal, cast, get_args

from registry import layout
from registry.channel import Move
from registry.encoding import (
    DIGEST,
    NAME,
    SHA256,
    WRITE_ID,
    Fields,
    canonical,
    format_time,
    parse_canonical,
    parse_time,
    sha256_hex,
)
from registry.errors import HistoryBroken
from registry.experiment_errors import ExperimentEnded, ExperimentMalformed, ExperimentRunning, SameVersion
from registry.experiment_rule import Evidence, Mode, Rule
from registry.log import Log
from registry.object_store import ObjectStore
from registry.version import Version, check_name

MODES: tuple[Mode, ...] = get_args(Mode.__value__)

type Outcome = Literal["promoted", "rejected", "undecided", "stopped"]
_OUTCOMES: tuple[str, ...] = get_args(Outcome.__value__)

_UNITS = 2**64


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A beginning: from here on, and until its end, `version` stands beside what the channel's `entry` put in force."""

    channel: str
    number: int
    version: int
    digest: str
    champion: int
    entry: int
    mode: Mode
    share: float
    rule: Rule
    by: str
    why: str
    at: str
    until: str
    write_id: str
    previous_sha256: str | None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode cannot be {self.mode!r}; expected one of {', '.join(MODES)}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share cannot be {self.share:g}; expected more than 0 and at most 1")
        if parse_time(self.until) <= parse_time(self.at):
            raise ValueError(f"until {self.until} is not after {self.at}")

    def chooses(self, unit: str) -> bool:
        """Whether `unit` (a request, a caller) belongs to the challenger: a pure function, alike everywhere."""
        drawn = hashlib.sha256(f"{self.channel}/{self.number}/{unit}".encode()).digest()
        return int.from_bytes(drawn[:8]) < self.share * _UNITS

    def to_bytes(self) -> bytes:
        """What is stored."""
        return canonical({"kind": "start", **asdict(self)})


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """The end of experiment `experiment`, and what it rests on."""

    channel: str
    number: int
    experiment: int
    outcome: Outcome
    reasons: tuple[str, ...]
    evidence: Evidence
    by: str
    at: str
    write_id: str
    previous_sha256: str

    def __post_init__(self) -> None:
        if self.outcome not in _OUTCOMES:
            raise ValueError(f"outcome cannot be {self.outcome!r}; expected one of {', '.join(_OUTCOMES)}")
        if self.experiment != self.number - 1:
            raise ValueError(f"entry {self.number} cannot end experiment {self.experiment}: the one before it does")

    def to_bytes(self) -> bytes:
        """What is stored."""
        return canonical({"kind": "end", **asdict(self), "reasons": list(self.reasons)})


type Entry = Experiment | Conclusion


class Experiments:
    """The log of one channel's experiments. Any number of readers and writers, no lock: one writer wins each number."""

    def __init__(
        self,
        store: ObjectStore,
        model: str,
        channel: str,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.model = check_name("model", model)
        self.channel = check_name("channel", channel)
        self._clock = clock
        self._last: Entry | None = None
        self._log = Log(
            store=store,
            prefix=layout.experiments_prefix(model, channel),
            key=lambda number: layout.experiment_key(model, channel, number),
        )

    def head(self) -> Entry | None:
        """The last entry; what followers poll. From nothing O(log n) requests, then one and one for each entry since.

        HistoryBroken, ExperimentMalformed; this object then stays where it was.
        """
        last = self._last
        if last is None:
            number = self._log.last()
            self._last = self._entry(number) if number else None
            return self._last
        while (body := self._log.read(last.number + 1)) is not None:
            following = self._parse(last.number + 1, body)
            _check_chain(self.channel, last, following)
            last = following
        self._last = last
        return last

    def running(self, champion: Move | None) -> Experiment | None:
        """The experiment that holds now, with `champion` in force; None if there is none, or it is void."""
        head = self.head()
        if not isinstance(head, Experiment) or champion is None or head.entry != champion.number:
            return None
        return head if self._clock() < parse_time(head.until) else None

    def history(self) -> list[Entry]:
        """All entries, oldest first; HistoryBroken, ExperimentMalformed."""
        entries = [self._parse(number, body) for number, body in enumerate(self._log.read_all(), start=1)]
        for before, entry in pairwise(entries):
            _check_chain(self.channel, before, entry)
        return entries

    def start(
        self,
        version: Version,
        champion: Move,
        *,
        mode: Mode,
        share: float,
        rule: Rule,
        until: datetime,
        by: str,
        why: str,
    ) -> Experiment:
        """Set `version` beside what `champion` put in force. Raises SameVersion, ExperimentRunning (also where another
        writer was faster), ValueError for a share or a time that makes no sense.

        One that has become void needs an end first: what it saw is worth keeping.
        """
        if version.digest == champion.digest:
            raise SameVersion(self.channel, version.title)
        head = self.head()
        if isinstance(head, Experiment):
            raise ExperimentRunning(self.channel, number=head.number, version=head.version, by=head.by, at=head.at)
        started = Experiment(
            channel=self.channel,
            number=(head.number if head else 0) + 1,
            version=version.number,
            digest=version.digest,
            champion=champion.version,
            entry=champion.number,
            mode=mode,
            share=share,
            rule=rule,
            by=by,
            why=why,
            at=format_time(self._clock()),
            until=format_time(until),
            write_id=secrets.token_hex(16),
            previous_sha256=sha256_hex(head.to_bytes()) if head else None,
        )
        standing = self._append(started)
        if isinstance(standing, Experiment) and standing == started:
            return started
        raise ExperimentRunning(
            self.channel,
            number=standing.number,
            version=standing.version if isinstance(standing, Experiment) else version.number,
            by=standing.by,
            at=standing.at,
        )

    def conclude(
        self, experiment: Experiment, *, outcome: Outcome, reasons: tuple[str, ...], evidence: Evidence, by: str
    ) -> Conclusion:
        """End it. Raises ExperimentEnded where somebody did already, with what they said."""
        head = self.head()
        if isinstance(head, Conclusion) and head.experiment == experiment.number:
            raise ExperimentEnded(self.channel, experiment.number, outcome=head.outcome, by=head.by, at=head.at)
        ended = Conclusion(
            channel=self.channel,
            number=experiment.number + 1,
            experiment=experiment.number,
            outcome=outcome,
            reasons=reasons,
            evidence=evidence,
            by=by,
            at=format_time(self._clock()),
            write_id=secrets.token_hex(16),
            previous_sha256=sha256_hex(experiment.to_bytes()),
        )
        standing = self._append(ended)
        if isinstance(standing, Conclusion) and standing != ended:
            raise ExperimentEnded(
                self.channel, experiment.number, outcome=standing.outcome, by=standing.by, at=standing.at
            )
        return ended

    def _append(self, entry: Entry) -> Entry:
        standing = self._parse(entry.number, self._log.append(entry.number, entry.to_bytes()))
        if entry.number > 1 and standing.previous_sha256 != entry.previous_sha256:
            raise _broken(self.channel, standing, expected=str(entry.previous_sha256))
        self._last = standing
        return standing

    def _entry(self, number: int) -> Entry:
        body = self._log.read(number)
        if body is None:
            raise HistoryBroken(f"experiments of {self.channel}", expected=f"entry {number}", actual="a hole")
        return self._parse(number, body)

    def _parse(self, number: int, body: bytes) -> Entry:
        try:
            entry = _read(parse_canonical(body))
            _check_place(entry, self.channel, number)
        except ValueError as error:
            key = layout.experiment_key(self.model, self.channel, number)
            raise ExperimentMalformed(str(error), key=key) from error
        return entry


def _check_place(entry: Entry, channel: str, number: int) -> None:
    parse_time(entry.at)
    if (entry.channel, entry.number) != (channel, number):
        raise ValueError(f"it is entry {entry.number} of channel {entry.channel}")
    if isinstance(entry, Experiment) and (number == 1) != (entry.previous_sha256 is None):
        raise ValueError("exactly the first entry has nothing before it")


def _read(fields: Fields) -> Entry:
    kind = fields.text("kind")
    if kind not in ("start", "end"):
        raise ValueError(f"kind cannot be {kind!r}")
    entry = _read_start(fields) if kind == "start" else _read_end(fields)
    fields.done()
    return entry


def _read_start(fields: Fields) -> Experiment:
    return Experiment(
        channel=fields.text("channel", NAME),
        number=fields.count("number"),
        version=fields.count("version"),
        digest=fields.text("digest", DIGEST),
        champion=fields.count("champion"),
        entry=fields.count("entry"),
        mode=cast("Mode", fields.text("mode")),
        share=fields.number("share"),
        rule=Rule.read(fields.nested("rule")),
        by=fields.text("by"),
        why=fields.text("why"),
        at=fields.text("at"),
        until=fields.text("until"),
        write_id=fields.text("write_id", WRITE_ID),
        previous_sha256=fields.optional_text("previous_sha256", SHA256),
    )


def _read_end(fields: Fields) -> Conclusion:
    return Conclusion(
        channel=fields.text("channel", NAME),
        number=fields.count("number", least=2),
        experiment=fields.count("experiment"),
        outcome=cast("Outcome", fields.text("outcome")),
        reasons=fields.texts("reasons"),
        evidence=Evidence.read(fields.nested("evidence")),
        by=fields.text("by"),
        at=fields.text("at"),
        write_id=fields.text("write_id", WRITE_ID),
        previous_sha256=fields.text("previous_sha256", SHA256),
    )


def _check_chain(channel: str, before: Entry, entry: Entry) -> None:
    if isinstance(before, Experiment) == isinstance(entry, Experiment):
        raise HistoryBroken(
            f"experiments of {channel}",
            expected=f"entry {entry.number} to {'end' if isinstance(before, Experiment) else 'begin'} one",
            actual=f"another, written by {entry.by} at {entry.at}",
        )
    if entry.previous_sha256 != sha256_hex(before.to_bytes()):
        raise _broken(channel, entry, expected=sha256_hex(before.to_bytes()))


def _broken(channel: str, entry: Entry, *, expected: str) -> HistoryBroken:
    return HistoryBroken(
        f"experiments of {channel}",
        expected=f"entry {entry.number} carrying {expected}, the hash of the entry before",
        actual=f"{entry.previous_sha256}, written by {entry.by} at {entry.at}",
    )
