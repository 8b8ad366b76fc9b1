"""The process's counts of an experiment, by arm: many threads add, metrics and the judge read."""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from registry.channels.experiment_rule import Arm, Evidence, Pair
from serving.inference.loaded_model import Prediction

type ArmName = Literal["champion", "challenger"]

LOOKED_BACK: Final = 100
TRIPS_AT: Final = 20
"""Failures among the last `LOOKED_BACK` predictions of a challenger that stop it in this process."""


PAIRS: Final = 512
"""Maximum number of label pairs that are counted separately; other photos are in the totals only."""


@dataclass(kw_only=True)
class ExperimentCounters:
    """Counts since this process loaded the experiment; a restart begins at 0."""

    _evidence: Evidence = field(default_factory=lambda: Evidence(endpoints=1))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _latest: deque[bool] = field(default_factory=lambda: deque(maxlen=LOOKED_BACK))
    _tripped: bool = False

    @property
    def evidence(self) -> Evidence:
        """Returns all counts, read atomically."""
        return self._evidence

    @property
    def tripped(self) -> bool:
        """Whether the challenger failed too often to be used again."""
        return self._tripped

    def answered(self, arm: ArmName, found: Prediction) -> None:
        """Count a prediction, its duration and its largest probability."""
        seconds, confidence = found.seconds, found.confidence
        one = Arm(
            answers=1,
            seconds=seconds,
            seconds_squared=seconds**2,
            confidence=confidence,
            confidence_squared=confidence**2,
        )
        with self._lock:
            self._add(arm, one)

    def failed(self, arm: ArmName) -> None:
        """Count a failed request of an arm."""
        with self._lock:
            self._add(arm, Arm(failures=1))

    def compared(self, request: str, champion: Prediction, challenger: Prediction, *, strange: bool = False) -> None:
        """Count a photo that both classified: `request` is its prediction's id.

        `strange`: the photo is unlike the champion's training photos, so its prediction is unreliable.
        """
        agree = champion.label == challenger.label
        pair = Pair(
            champion=champion.label,
            challenger=challenger.label,
            photos=1,
            doubt=max(0.0, 2 - (0.0 if strange else champion.confidence) - challenger.confidence),
            examples=() if agree else (request,),
        )
        with self._lock:
            known = {(each.champion, each.challenger) for each in self._evidence.pairs}
            new = len(known) < PAIRS or (pair.champion, pair.challenger) in known
            self._evidence += Evidence(compared=1, disagreed=int(not agree), pairs=(pair,) if new else ())

    def left_out(self) -> None:
        """Count a photo that a busy shadow skipped."""
        with self._lock:
            self._evidence = replace(self._evidence, left_out=self._evidence.left_out + 1)

    def _add(self, arm: ArmName, one: Arm) -> None:
        evidence = self._evidence
        if arm == "champion":
            self._evidence = replace(evidence, champion=evidence.champion + one)
            return
        self._evidence = replace(evidence, challenger=evidence.challenger + one)
        self._latest.append(bool(one.failures))
        self._tripped = self._tripped or sum(self._latest) >= TRIPS_AT


class ExperimentCollector(Collector):
    """Exports the counters of the running experiment, if there is one, to Prometheus."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.number = 0
        self.counters: ExperimentCounters | None = None
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Prometheus metrics with labels for experiment and arm."""
        counters, experiment = self.counters, str(self.number)
        evidence = counters.evidence if counters else Evidence()
        for name, what in (
            ("answers", "Photos that an arm of the experiment answered"),
            ("failures", "Requests that an arm of the experiment could not answer"),
            ("seconds", "Total seconds of an arm's answers"),
            ("confidence", "Sum of the highest probabilities of an arm's answers"),
        ):
            family = CounterMetricFamily(f"petpark_experiment_{name}", what, labels=("experiment", "arm"))
            for arm in ("champion", "challenger") if counters else ():
                family.add_metric((experiment, arm), float(getattr(getattr(evidence, arm), name)))
            yield family
        for name, what in (
            ("compared", "Photos that champion and challenger both answered"),
            ("disagreed", "Photos that got different labels"),
            ("left_out", "Photos that a busy shadow did not look at"),
        ):
            family = CounterMetricFamily(f"petpark_experiment_{name}", what, labels=("experiment",))
            if counters:
                family.add_metric((experiment,), float(getattr(evidence, name)))
            yield family
