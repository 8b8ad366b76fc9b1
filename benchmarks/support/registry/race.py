"""Many processes promote on one channel at once while others follow it; the history must agree with both."""

import contextlib
import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.support.registry.entries import a_version
from benchmarks.support.s3_server import Bucket, S3Server
from benchmarks.support.workers import Member
from registry.channels.channel import Channel, ChannelEntry
from registry.errors import ChannelMoved, StoreUnavailable

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier, Event

MODEL, CHANNEL = "pets", "prod"
START_TIMEOUT_SECONDS = 180.0
"""Seconds until all processes have imported what they need."""

LOOK_EVERY = 50
"""Polls after which a follower also reads the head without a cache."""


@dataclass(frozen=True, kw_only=True)
class Writing:
    """The results of one writer."""

    won: tuple[str, ...]  # write ids of the moves that were returned
    lost: tuple[str, ...]  # `why`, different in each attempt, of those that got ChannelMoved
    unknown: tuple[str, ...]  # the same of those whose outcome could not be learned


@dataclass(frozen=True, kw_only=True)
class Following:
    """What one follower saw."""

    seen: int  # the last number
    polls: int
    faults: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Race:
    """What happened."""

    writers: int
    attempts: int
    won: int
    lost: int
    unknown: int
    entries: int
    seconds: float
    followers: tuple[Following, ...]
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, duplicated or torn."""
        return not self.faults

    def table(self) -> Table:
        """For people."""
        table = Table(
            title=f"race: {self.writers} writer processes, one channel", title_justify="left", show_header=False
        )
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        for name, value in (
            ("attempts", f"{self.attempts:,}"),
            ("answered: moved", f"{self.won:,}"),
            ("answered: ChannelMoved", f"{self.lost:,}"),
            ("outcome unknown (StoreUnavailable)", f"{self.unknown:,}"),
            ("entries in the history, gapless and chained", f"{self.entries:,}"),
            ("seconds", f"{self.seconds:.1f}"),
            ("attempts, moves a second", f"{self.attempts / self.seconds:.0f}, {self.won / self.seconds:.0f}"),
            ("followers, their polls", f"{len(self.followers)}, {sum(each.polls for each in self.followers):,}"),
        ):
            table.add_row(name, value)
        return table

    def verdicts(self) -> list[str]:
        """The promise."""
        return list(self.faults) or [
            "0 lost, 0 duplicated, history gapless; each result agrees with the history; no follower saw a step back"
        ]

    def to_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def measure(server: S3Server, *, writers: int, followers: int, attempts: int, console: Console) -> Race:
    """`attempts` moves in all, shared among the writers."""
    bucket = server.bucket("race")
    context = multiprocessing.get_context("spawn")
    start, over = context.Barrier(writers + followers + 1), context.Event()
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(console.status(f"race: starting {writers} writers and {followers} followers"))
        shares = [len(range(number, attempts, writers)) for number in range(writers)]
        writing = [
            stack.enter_context(Member(context, partial(write, bucket, number, share, start)))
            for number, share in enumerate(shares)
        ]
        following = [
            stack.enter_context(Member(context, partial(follow, bucket, start, over))) for _ in range(followers)
        ]
        start.wait(START_TIMEOUT_SECONDS)
        status.update(f"race: {attempts:,} attempts")
        began = time.perf_counter()
        written = [member.answer(60 + attempts * 0.3) for member in writing]
        seconds = time.perf_counter() - began
        over.set()
        followed = [member.answer(60) for member in following]
    history = Channel(bucket.store(), MODEL, CHANNEL).history()  # HistoryBroken unless gapless and chained
    return Race(
        writers=writers,
        attempts=attempts,
        won=sum(len(each.won) for each in written),
        lost=sum(len(each.lost) for each in written),
        unknown=sum(len(each.unknown) for each in written),
        entries=len(history),
        seconds=seconds,
        followers=tuple(followed),
        faults=tuple(judge(history, written, followed)),
    )


def write(bucket: Bucket, number: int, share: int, start: "Barrier") -> Writing:
    """A writer: tries `share` times to move the channel, whatever comes of it."""
    channel, version = Channel(bucket.store(), MODEL, CHANNEL), a_version(MODEL)
    channel.head()  # connects
    won: list[str] = []
    lost: list[str] = []
    unknown: list[str] = []
    start.wait(START_TIMEOUT_SECONDS)
    for attempt in range(share):
        why = f"writer {number}, attempt {attempt}"
        try:
            won.append(channel.move(version, by=f"writer-{number}", why=why).write_id)
        except ChannelMoved:
            lost.append(why)
        except StoreUnavailable:
            unknown.append(why)
    return Writing(won=tuple(won), lost=tuple(lost), unknown=tuple(unknown))


def follow(bucket: Bucket, start: "Barrier", over: "Event") -> Following:
    """A follower: polls without a pause until the race is over and nothing is left to see."""
    store = bucket.store()
    channel = Channel(store, MODEL, CHANNEL)
    channel.after(0)  # connects
    start.wait(START_TIMEOUT_SECONDS)
    faults: list[str] = []
    last: ChannelEntry | None = None
    number = polls = 0
    while True:
        ending = over.is_set()  # read before the poll: entries missing afterwards will never come
        move = channel.after(number)
        polls += 1
        if move is not None:
            if move.previous_sha256 != (last.sha256 if last else None):
                faults.append(f"entry {move.number} does not follow the entry that was seen before it")
            last, number = move, move.number
        elif ending:
            return Following(seen=number, polls=polls, faults=tuple(faults))
        if polls % LOOK_EVERY == 0:
            head = Channel(store, MODEL, CHANNEL).head()
            if (head.number if head else 0) < number:
                faults.append(f"a head of {head and head.number} after entry {number} had been seen")


def judge(history: Sequence[ChannelEntry], written: Sequence[Writing], followed: Sequence[Following]) -> list[str]:
    """Returns the differences between results and history."""
    stands = Counter(move.write_id for move in history)
    won = Counter(write_id for each in written for write_id in each.won)
    words = {move.why for move in history}
    unknown = {why for each in written for why in each.unknown}
    claims = (
        ("entries out of number", [move.number for at, move in enumerate(history, 1) if move.number != at]),
        ("moves reported but not in the history", [each for each in won if stands[each] == 0]),
        ("moves more than once in the history", [each for each, times in stands.items() if times > 1]),
        ("moves reported more than once", [each for each, times in won.items() if times > 1]),
        (
            "moves that got ChannelMoved but are in the history",
            [w for each in written for w in each.lost if w in words],
        ),
        (
            "entries that no writer got as a result",
            [move.number for move in history if move.write_id not in won and move.why not in unknown],
        ),
        ("followers that stopped early", [each.seen for each in followed if each.seen != len(history)]),
        ("steps that followers should not have seen", [fault for each in followed for fault in each.faults]),
    )
    return [f"{len(found)} {claim}, such as {found[0]}" for claim, found in claims if found]
