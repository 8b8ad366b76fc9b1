"""A challenger next to a channel's version, for a limited time: a numbered log of starts and ends."""

import hashlib
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal, cast, get_args

from registry.channels.channel import ChannelEntry
from registry.channels.experiment_rule import Evidence, Mode, Rule
from registry.clock import Clock, utc_now
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
from registry.errors import HistoryBroken, RegistryError, StoreConflict
from registry.errors.experiments import ExperimentEnded, ExperimentMalformed, ExperimentRunning, SameVersion
from registry.layout.model_store import experiment_key, experiments_prefix
from registry.logs.chain import MOST_JUNK, Chain
from registry.logs.chain_memory import ChainMemory
from registry.logs.log import Log
from registry.logs.repairs import Repairs
from registry.store.object_store import ObjectStore
from registry.version import Version, check_name

MODES: tuple[Mode, ...] = get_args(Mode.__value__)

type Outcome = Literal["promoted", "rejected", "undecided", "stopped"]
_OUTCOMES: tuple[str, ...] = get_args(Outcome.__value__)

_UNITS = 2**64


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A start: until its end, `version` is the challenger of the version that the channel's `entry` set."""

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
        """Whether `unit` (a request, a caller) belongs to the challenger: a pure function, equal on all endpoints."""
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
        if self.experiment >= self.number:
            raise ValueError(f"entry {self.number} cannot end experiment {self.experiment}, which is not before it")

    def to_bytes(self) -> bytes:
        """What is stored."""
        end = {**asdict(self), "reasons": list(self.reasons), "evidence": self.evidence.to_dict()}
        return canonical({"kind": "end", **end})


type Entry = Experiment | Conclusion


class Experiments:
    """The log of one channel's experiments. Any number of readers and writers, no lock: one writer wins each number."""

    def __init__(
        self,
        store: ObjectStore,
        model: str,
        channel: str,
        *,
        clock: Clock = utc_now,
        memory: ChainMemory | None = None,
    ) -> None:
        self.model = check_name("model", model)
        self.channel = check_name("channel", channel)
        self._clock = clock
        self._log = Log(
            store=store,
            prefix=experiments_prefix(model, channel),
            key=lambda number: experiment_key(model, channel, number),
        )
        self.chain = Chain(
            self._log,
            what=f"experiments of {channel}",
            parse=self._parse,
            repairs=Repairs(store, model),
            check=self._check_order,
            memory=memory,
        )

    def head(self) -> Entry | None:
        """The last entry; what followers poll.

        From nothing a listing and a request for each entry, then one and one for each entry since. HistoryBroken.
        """
        return self.chain.follow()

    @property
    def passed_over(self) -> dict[int, RegistryError]:
        """Invalid objects between the entries that were read, by number, with the reason."""
        return dict(self.chain.passed_over)

    def running(self, champion: ChannelEntry | None) -> Experiment | None:
        """The experiment that runs now, with `champion` as the channel's move; None if there is none, or it is void."""
        head = self.head()
        if not isinstance(head, Experiment) or champion is None or head.entry != champion.number:
            return None
        return head if self._clock() < parse_time(head.until) else None

    def history(self) -> list[Entry]:
        """All entries, oldest first; HistoryBroken."""
        self.chain.follow()
        return list(self.chain.entries)

    def start(
        self,
        version: Version,
        champion: ChannelEntry,
        *,
        mode: Mode,
        share: float,
        rule: Rule,
        until: datetime,
        by: str,
        why: str,
    ) -> Experiment:
        """Start `version` as the challenger of `champion`. Raises SameVersion, ExperimentRunning (also where another
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
            number=self.chain.next_number,
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
        if isinstance(standing, Experiment) and standing.write_id == started.write_id:
            return standing
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
        """End it. Raises ExperimentEnded if it has ended already, with the reasons given."""
        if self.head() != experiment:
            raise self._ended(experiment)
        ended = Conclusion(
            channel=self.channel,
            number=self.chain.next_number,
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
        if not isinstance(standing, Conclusion) or standing.write_id != ended.write_id:
            raise self._ended(experiment)
        return standing

    def _ended(self, experiment: Experiment) -> ExperimentEnded:
        """Returns the error to raise if the experiment is not the last entry: a later one is its end."""
        ends = (entry for entry in self.chain.entries if isinstance(entry, Conclusion))
        end = next((entry for entry in ends if entry.experiment == experiment.number), None)
        actual = f"its end: {end.outcome}, by {end.by} at {end.at}" if end else "no such experiment in the log"
        return ExperimentEnded(self.channel, experiment.number, actual=actual)

    def _append(self, entry: Entry) -> Entry:
        """The entry that stands where this one should: itself, behind what is none, or another's."""
        for _ in range(MOST_JUNK):
            entry = replace(entry, number=self.chain.next_number)
            standing = self.chain.take(self._log.append(entry.number, entry.to_bytes()))
            if standing is not None:
                return standing
        raise StoreConflict(f"append to the experiments of {self.channel}", f"{MOST_JUNK} invalid objects")

    def _check_order(self, before: Entry | None, entry: Entry) -> None:
        """HistoryBroken unless beginnings and ends take turns, and each end is that of the beginning before it."""
        begun = before if isinstance(before, Experiment) else None
        fits = begun is None if isinstance(entry, Experiment) else begun and entry.experiment == begun.number
        if not fits:
            raise HistoryBroken(
                f"experiments of {self.channel}",
                expected=f"entry {entry.number} to {f'end experiment {begun.number}' if begun else 'begin one'}",
                actual=f"another, written by {entry.by} at {entry.at}",
            )

    def _parse(self, number: int, body: bytes) -> Entry:
        try:
            entry = _read(parse_canonical(body))
            _check_place(entry, self.channel, number)
        except ValueError as error:
            key = experiment_key(self.model, self.channel, number)
            raise ExperimentMalformed(str(error), key=key) from error
        return entry


def _check_place(entry: Entry, channel: str, number: int) -> None:
    parse_time(entry.at)
    if entry.channel != channel:
        raise ValueError(f"it is an entry of channel {entry.channel}")
    if entry.number != number:
        raise HistoryBroken(f"experiments of {channel}", expected=f"entry {number}", actual=f"entry {entry.number}")
    if isinstance(entry, Experiment) and number == 1 and entry.previous_sha256 is not None:
        raise ValueError("the first entry has nothing before it")


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
