"""Which version answers a photo: the channel's or, for a share of them while an experiment runs, the challenger."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from imaging import PhotoError
from registry.versions.abstention import NEITHER
from serving.inference.loaded_model import LoadedModel, Prediction
from serving.release.challenger import Challenge
from serving.release.experiment_counters import ArmName
from serving.release.live import Deployed, Live
from serving.release.shadow import Shadow

logger = logging.getLogger(__name__)

HEADER: Final = "x-petpark-arm"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The classification of a photo, and which arm of the experiment it is from. `arm` None: no experiment runs."""

    model: LoadedModel
    found: Prediction
    arm: ArmName | None = None


class TrafficSplit:
    """Has photos classified, and counts each answer for the experiment that runs."""

    def __init__(self, *, live: Live, shadow: Shadow) -> None:
        self._live = live
        self._shadow = shadow

    def classify(
        self, current: Deployed, photo: bytes, *, explain: bool, request: str, caller: str, record: bool = False
    ) -> Answer:
        """Answer with `current`, or with its challenger. Raises `imaging.PhotoError`.

        `record`: with what is recorded of a prediction. `request` and `caller` are the units that experiments draw
        from. If the challenger fails, `current` answers: no caller sees a challenger's failures.
        """
        challenge = self._live.challenge
        if challenge is None or challenge.experiment.entry != current.move.number:
            return Answer(model=current.model, found=current.model.classify(photo, explain=explain, record=record))
        counters, shadow = challenge.counters, challenge.experiment.mode == "shadow"
        challenger = challenge.drawn(request=request, caller=caller)
        if challenger is not None and not shadow:
            found = _ask(challenge, challenger, photo, explain=explain, record=record)
            if found is not None:
                answered = found
                self._later(challenge, lambda: _contradict(challenge, current.model, photo, answered, request))
                return Answer(model=challenger, found=found, arm="challenger")
        try:
            found = current.model.classify(photo, explain=explain, record=record)
            answer = Answer(model=current.model, found=found, arm="champion")
        except PhotoError:
            raise  # the photo's fault, or its sender's
        except Exception:
            if not shadow:
                counters.failed("champion")
            raise
        if not shadow:
            counters.answered("champion", answer.found)
        elif challenger is not None:
            self._later(challenge, lambda: _compare(challenge, current.model, photo, answer.found, request))
        return answer

    def _later(self, challenge: Challenge, work: Callable[[], None]) -> None:
        """Have the other arm look at the photo when there is time, or count it as left out."""
        if not self._shadow.offer(work):
            challenge.counters.left_out()


def _compare(challenge: Challenge, champion: LoadedModel, photo: bytes, answered: Prediction, request: str) -> None:
    """Have the challenger classify a photo that the champion answered, and count both."""
    if challenge.state != "answers" or challenge.model is None:
        return
    found = _ask(challenge, challenge.model, photo, explain=False)
    if found is not None:
        challenge.counters.answered("champion", answered)
        challenge.counters.compared(request, answered, found, strange=_strange(champion, answered))


def _contradict(
    challenge: Challenge, champion: LoadedModel, photo: bytes, challenger: Prediction, request: str
) -> None:
    """Have the champion classify a photo that the challenger answered. It is compared and otherwise not counted."""
    if challenge.state == "answers":
        found = champion.classify(photo)
        challenge.counters.compared(request, found, challenger, strange=_strange(champion, found))


def _strange(model: LoadedModel, found: Prediction) -> bool:
    """Whether a version says that a photo is unlike those that it was trained on; False if it cannot say so."""
    abstention = model.abstained(found)
    return abstention is not None and found.strangeness is not None and abstention["answer"] == NEITHER


def _ask(
    challenge: Challenge, challenger: LoadedModel, photo: bytes, *, explain: bool, record: bool = False
) -> Prediction | None:
    """Returns the challenger's answer, counted; None if it failed. Raises `imaging.PhotoError`."""
    try:
        found = challenger.classify(photo, explain=explain, record=record)
    except PhotoError:
        raise
    except Exception:
        challenge.counters.failed("challenger")
        logger.exception("the challenger failed", extra={"version": challenger.version.number})
        if challenge.counters.tripped:
            logger.error("the challenger failed too often; no longer used by this instance")  # noqa: TRY400 - said above
        return None
    challenge.counters.answered("challenger", found)
    return found
