"""Who answers a photo: the version in force, or while an experiment runs the challenger, for those whom it drew."""

import logging
import time
from dataclasses import dataclass
from typing import Final

from imaging import PhotoError
from serving.inference.loaded_model import Classification, LoadedModel
from serving.release.challenger import Challenge
from serving.release.experiment_counters import ArmName, ExperimentCounters
from serving.release.live import Deployed, Live
from serving.release.shadow import Shadow

logger = logging.getLogger(__name__)

HEADER: Final = "x-petpark-arm"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was said about a photo, and by whom. `arm` None: no experiment runs."""

    model: LoadedModel
    found: Classification
    arm: ArmName | None = None


class TrafficSplit:
    """Answers photos; what it learns about an experiment goes into the experiment's tally."""

    def __init__(self, *, live: Live, shadow: Shadow) -> None:
        self._live = live
        self._shadow = shadow

    def classify(self, current: Deployed, photo: bytes, *, explain: bool, request: str, caller: str) -> Answer:
        """Answer with `current`, or with its challenger. Raises `imaging.PhotoError`.

        `request` and `caller` are the units that experiments draw from. Whatever befalls the challenger, somebody
        answers: a caller never learns of its failures.
        """
        challenge = self._live.challenge
        if challenge is None or challenge.experiment.entry != current.move.number:
            return Answer(model=current.model, found=current.model.classify(photo, explain=explain))
        drawn = challenge.state == "answers" and challenge.experiment.chooses(
            caller if challenge.experiment.mode == "ab" else request
        )
        if challenge.experiment.mode == "shadow":
            began = time.perf_counter()
            found = current.model.classify(photo, explain=explain)
            if drawn:
                self._look_later(challenge, photo, found, seconds=time.perf_counter() - began)
            return Answer(model=current.model, found=found, arm="champion")
        if drawn and challenge.model is not None:
            found = _try(challenge, challenge.model, photo, explain=explain)
            if found is not None:
                return Answer(model=challenge.model, found=found, arm="challenger")
        found = _timed(challenge.tally, "champion", current.model, photo, explain=explain)
        return Answer(model=current.model, found=found, arm="champion")

    def _look_later(self, challenge: Challenge, photo: bytes, theirs: Classification, *, seconds: float) -> None:
        def look() -> None:
            if challenge.state != "answers" or challenge.model is None:
                return
            ours = _try(challenge, challenge.model, photo, explain=False)
            if ours is not None:
                challenge.tally.answered("champion", seconds=seconds, confidence=max(theirs.probabilities.values()))
                challenge.tally.compared(agree=ours.label == theirs.label)

        if not self._shadow.offer(look):
            challenge.tally.left_out()


def _try(challenge: Challenge, model: LoadedModel, photo: bytes, *, explain: bool) -> Classification | None:
    """Returns the challenger's answer; None where it has none, which is counted. Raises `imaging.PhotoError`."""
    try:
        return _timed(challenge.tally, "challenger", model, photo, explain=explain)
    except PhotoError:
        raise
    except Exception:
        logger.exception("the challenger failed", extra={"version": model.version.number})
        if challenge.tally.tripped:
            logger.error("the challenger failed too often; no longer used by this instance")  # noqa: TRY400 - said above
        return None


def _timed(
    tally: ExperimentCounters, arm: ArmName, model: LoadedModel, photo: bytes, *, explain: bool
) -> Classification:
    began = time.perf_counter()
    try:
        found = model.classify(photo, explain=explain)
    except PhotoError:
        raise  # the photo's fault, or its sender's
    except Exception:
        tally.failed(arm)
        raise
    tally.answered(arm, seconds=time.perf_counter() - began, confidence=max(found.probabilities.values()))
    return found
