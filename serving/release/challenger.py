"""Follows a channel's experiments: loads the challenger next to the champion, and unloads it after the experiment."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from registry.channels.experiment import Experiment, Experiments
from registry.clock import Clock, utc_now
from registry.encoding import parse_time
from serving.inference.loaded_model import LoadedModel
from serving.release.admission import Admission, VersionRefused
from serving.release.experiment_counters import ExperimentCollector, ExperimentCounters
from serving.release.live import Deployed, Live

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 30.0
"""Seconds until a refused challenger is checked again, if the cause can be fixed."""

type State = Literal["answers", "tripped", "refused"]


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """An experiment that this process takes part in. `model` None: its challenger was `refused`."""

    experiment: Experiment
    model: LoadedModel | None
    refused: VersionRefused | None = None
    counters: ExperimentCounters = field(default_factory=ExperimentCounters)

    @property
    def state(self) -> State:
        """Whether the challenger is served here, and if not, what stopped it."""
        if self.model is None:
            return "refused"
        return "tripped" if self.counters.tripped else "answers"

    def drawn(self, *, request: str, caller: str) -> LoadedModel | None:
        """Returns the challenger if the experiment draws this request or caller and it is served; else None."""
        drawn = self.state == "answers" and self.experiment.chooses(caller if self.experiment.mode == "ab" else request)
        return self.model if drawn else None

    def stands_against(self, champion: Deployed, now: datetime) -> bool:
        """Returns whether the experiment is about `champion` and not over."""
        return champion.move.number == self.experiment.entry and now < parse_time(self.experiment.until)

    def to_json(self) -> dict[str, object]:
        """Returns it as in `/v1/model`."""
        experiment = self.experiment
        return {
            "number": experiment.number,
            "version": experiment.version,
            "digest": experiment.digest,
            "mode": experiment.mode,
            "share": experiment.share,
            "until": experiment.until,
            "state": self.state,
            "refused": f"{self.refused.reason}: {self.refused.public}" if self.refused else None,
            "evidence": self.counters.evidence.to_dict(),
        }


class Challenger:
    """The only writer of `Live.challenge`. It reads the champion and never touches it."""

    def __init__(
        self,
        *,
        experiments: Experiments,
        admission: Admission,
        live: Live,
        collector: ExperimentCollector,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._experiments = experiments
        self._admission = admission
        self._live = live
        self._collector = collector
        self._clock = clock
        self._monotonic = monotonic
        self._next_look = 0.0
        self._store_is_away = False

    def run(self, stop: threading.Event, *, poll_seconds: float) -> None:
        """Follow the experiments until `stop` is set."""
        while not stop.is_set():
            self.step()
            stop.wait(poll_seconds)

    def step(self) -> bool:
        """Poll once and apply changes. Returns True if the store responded."""
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001 - no error may end the follower
            level = logging.DEBUG if self._store_is_away else logging.ERROR
            self._store_is_away = True
            logger.log(level, "cannot read the experiments; running ones continue", extra={"error": repr(error)})
            if self._live.challenge is not None and not self._stands(self._live.challenge):
                self._drop("void")
            return False
        self._store_is_away = False
        return True

    def _follow(self) -> None:
        champion, current = self._live.deployed, self._live.challenge
        experiment = self._experiments.running(champion.move if champion else None)
        if current is not None and current.experiment != experiment:
            self._drop("ended or void")  # before any other request to the store, which may become unreachable
            current = None
        if experiment is None:
            return
        if current is None:
            self._take_up(experiment)
        elif current.model is not None:
            self._confirm(current, current.model)
        elif current.refused is not None:
            self._look_again(current, current.refused)

    def _take_up(self, experiment: Experiment, *, counters: ExperimentCounters | None = None) -> None:
        before = self._live.challenge
        try:
            model, refused = self._admission.admit(experiment), None
        except VersionRefused as error:
            model, refused = None, error
            self._next_look = self._monotonic() + _RETRY_SECONDS
        self._set(
            Challenge(experiment=experiment, model=model, refused=refused, counters=counters or ExperimentCounters())
        )
        if before is None or before.experiment != experiment or str(before.refused) != str(refused):
            self._say("challenger refused" if refused else "challenger taken up", experiment, refused)

    def _look_again(self, challenge: Challenge, refused: VersionRefused) -> None:
        """Check a refused challenger again, when its cause may be fixed."""
        due = refused.curable and self._monotonic() >= self._next_look
        if due or self._admission.has_news(refused.standing):
            self._take_up(challenge.experiment, counters=challenge.counters)

    def _confirm(self, challenge: Challenge, model: LoadedModel) -> None:
        """Check for decisions about the challenger; a revoked one is unloaded."""
        try:
            confirmed = self._admission.confirm(model, challenge.experiment)
        except VersionRefused as refused:
            self._set(replace(challenge, model=None, refused=refused))
            self._say("challenger withdrawn", challenge.experiment, refused)
        else:
            if confirmed is not model:
                self._set(replace(challenge, model=confirmed))

    def _set(self, challenge: Challenge) -> None:
        self._live.challenge = challenge
        self._collector.number, self._collector.counters = challenge.experiment.number, challenge.counters

    def _say(self, what: str, experiment: Experiment, refused: VersionRefused | None) -> None:
        facts = {"experiment": experiment.number, "version": experiment.version, "reason": str(refused or "")}
        logger.log(logging.ERROR if refused else logging.INFO, what, extra=facts)

    def _stands(self, challenge: Challenge) -> bool:
        champion = self._live.deployed
        return champion is not None and challenge.stands_against(champion, self._clock())

    def _drop(self, why: str) -> None:
        challenge, self._live.challenge = self._live.challenge, None
        self._collector.counters = None
        if challenge is not None:
            logger.info("challenger dropped", extra={"experiment": challenge.experiment.number, "why": why})
