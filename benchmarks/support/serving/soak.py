"""An endpoint under load for minutes while its versions change, its store goes away, and some callers misbehave."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.support.figures import Trend
from benchmarks.support.serving.callers import Answers, Callers, call_for, per_second
from benchmarks.support.serving.endpoint_fixture import Endpoint, Fixture, wait_until
from benchmarks.support.serving.in_force import foreign_answers
from benchmarks.support.serving.load import Load, crowd
from benchmarks.support.serving.timetable import Action, Plan, timetable
from registry.channels.channel import ChannelEntry
from registry.channels.experiment import Experiment
from registry.channels.experiment_rule import Evidence, Rule
from registry.version import Version

_SAMPLE_EVERY = 0.25
_OUTAGE_LINES = (
    "cannot read the channel; still serving the active version",
    "cannot read the experiments; running ones continue",
)


@dataclass(kw_only=True)
class Soaked:
    """The actions, the observations, and the unexpected events."""

    full_per_second: float
    rate: float
    swaps: int = 0
    outages: list[str] = field(default_factory=list)
    polls_lost: float = 0
    experiments: int = 0
    shadows: int = 0
    good: Counter[int] = field(default_factory=Counter[int])
    bad: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    latency: Answers | None = None
    memory: list[tuple[float, float]] = field(default_factory=list)  # minutes, MB
    trend: Trend | None = None
    unasked: list[str] = field(default_factory=list)


class Soak:
    """One run over `versions` at least two, of which the first is in force."""

    def __init__(
        self,
        stand: Fixture,
        endpoint: Endpoint,
        versions: Sequence[Version],
        photo: Path,
        plan: Plan,
        *,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._stand, self._endpoint, self._versions = stand, endpoint, versions
        self._photo, self._plan, self._tell = photo, plan, tell
        self._random = random.Random(7)
        self._move: ChannelEntry | None = stand.channel.head()
        self._experiment: Experiment | None = None
        self._lost_before = 0.0
        self._began = 0.0
        self._away: list[tuple[float, float]] = []  # Unix time

    def run(self) -> Soaked:
        """Run the timetable, then check the observations."""
        plan, port = self._plan, self._endpoint.port
        full = per_second(call_for(port, self._photo, connections=plan.connections, seconds=plan.measuring))
        rate = min(plan.share * full, plan.most_per_second)
        seen = Soaked(full_per_second=full, rate=rate)
        self._tell(f"full load {full:.0f} photos/s; {rate:.0f} from now on")
        bad = crowd(port, self._photo.read_bytes(), every=plan.manner_every)
        with Callers(port, self._photo, connections=plan.connections, rate=rate) as callers, bad:
            self._began = time.monotonic()
            for event in timetable(plan):
                self._wait(event.at, seen)
                self._do(event.action, seen)
            self._wait(plan.seconds, seen)
            answers = callers.finish()
        self._look(seen, answers, bad)
        return seen

    def _wait(self, until: float, seen: Soaked) -> None:
        while (passed := time.monotonic() - self._began) < until and self._endpoint.alive:
            seen.memory.append((passed / 60, self._endpoint.resident_mb()))
            time.sleep(min(_SAMPLE_EVERY, until - passed))

    def _do(self, action: Action, seen: Soaked) -> None:
        if not self._endpoint.alive:
            return
        match action:
            case "swap":
                self._swap(seen)
            case "outage":
                self._begin_outage(seen)
            case "outage over":
                self._end_outage(seen)
            case "experiment":
                self._begin_experiment(seen)
            case "experiment over":
                self._end_experiment(seen)

    def _swap(self, seen: Soaked) -> None:
        others = [version for version in self._versions if self._move is None or version.number != self._move.version]
        self._move = self._stand.promote(self._random.choice(others))
        if self._endpoint.wait_for(self._move.number, timeout=self._plan.timeout):
            seen.swaps += 1
        else:
            seen.unasked.append(f"entry {self._move.number} was not followed within {self._plan.timeout:g} s")

    def _begin_outage(self, seen: Soaked) -> None:
        # In turns: a store that hangs, and a stopped one. A store in memory can only hang.
        kind = "gone" if len(seen.outages) % 2 and self._stand.outlives else "hangs"
        seen.outages.append(kind)
        self._tell(f"store {kind}")
        self._lost_before += self._lost()
        self._away.append((time.time(), float("inf")))
        if kind == "gone":
            self._stand.store.end()
        else:
            self._stand.store.freeze()

    def _end_outage(self, seen: Soaked) -> None:
        if not wait_until(lambda: self._lost() > 0, self._plan.timeout):
            seen.unasked.append("the store was away, and the endpoint did not notice")
        seen.polls_lost += self._lost()
        if seen.outages[-1] == "gone":
            self._stand.store.begin()
        else:
            self._stand.store.thaw()
        self._away[-1] = (self._away[-1][0], time.time() + self._plan.settling)

    def _lost(self) -> float:
        """Polls that failed in this outage."""
        return self._endpoint.metric("petpark_store_errors_total") - self._lost_before

    def _begin_experiment(self, seen: Soaked) -> None:
        if self._move is None:
            return
        number = self._move.version
        challenger = next(version for version in self._versions if version.number != number)
        self._experiment = self._stand.experiments.start(
            challenger,
            self._move,
            mode="shadow",
            share=1.0,
            rule=Rule(),
            until=datetime.now(UTC) + timedelta(hours=1),
            by="benchmark",
            why="to stand in the way",
        )
        seen.experiments += 1

    def _end_experiment(self, seen: Soaked) -> None:
        running = self._experiment
        if running is None:
            return
        if not wait_until(lambda: self._shadows(running) > 0, self._plan.timeout):
            seen.unasked.append(f"experiment {running.number} was not taken up")
        seen.shadows += self._shadows(running)
        self._stand.experiments.conclude(
            running, outcome="stopped", reasons=("its time is over",), evidence=Evidence(), by="benchmark"
        )
        self._experiment = None

    def _shadows(self, experiment: Experiment) -> int:
        """Photos that the challenger looked at too."""
        shown = self._endpoint.model()["experiment"]
        return shown["evidence"]["compared"] if shown and shown["number"] == experiment.number else 0

    def _look(self, seen: Soaked, answers: Answers, bad: Load) -> None:
        """Collects all unexpected events."""
        seen.latency = answers
        seen.good = Counter(answers["status"].tolist())
        seen.bad = bad.met
        strange = {status: n for status, n in seen.good.items() if status != 200}
        seen.unasked += [f"good callers: status {status}, {n} times" for status, n in strange.items()]
        seen.unasked += [f"bad callers: {what}" for what in bad.unexpected]
        if foreign := foreign_answers(answers, self._endpoint.log_lines("version active")):
            seen.unasked.append(f"{foreign} responses came from a version that was not active")
        if not self._endpoint.alive:
            seen.unasked.append("the endpoint ended")
        lines = [line for line in self._endpoint.log_lines() if line["level"] not in ("info", "debug")]
        strangers = Counter(f"{line['level']}: {line['message']}" for line in lines if not self._explained(line))
        seen.unasked += [f"log, {n} times: {text}" for text, n in strangers.items()]
        warm = [(at, mb) for at, mb in seen.memory if at * 60 >= self._plan.warm_up]
        if len(warm) < Trend.LEAST:  # it ended before it was warm, which is reported above
            return
        seen.trend = Trend.of(*zip(*warm, strict=True))
        if seen.trend.low > self._plan.leak_mb_a_minute:
            seen.unasked.append(f"resident memory grows by {seen.trend} MB a minute")

    def _explained(self, line: dict[str, Any]) -> bool:
        away = any(begin <= line["at"] <= end for begin, end in self._away)
        return away and line["message"] in _OUTAGE_LINES
