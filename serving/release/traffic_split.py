"""Which version answers a photo: the channel's or, for a share of them while an experiment runs, the challenger."""

import logging
from dataclasses import dataclass
from typing import Final

from imaging import PhotoError
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
        elif challenger is not None and not self._shadow.offer(lambda: _compare(challenge, photo, answer.found)):
            counters.left_out()
        return answer


def _compare(challenge: Challenge, photo: bytes, champion: Prediction) -> None:
    """Have the challenger classify a photo that the champion answered, and count both."""
    if challenge.state != "answers" or challenge.model is None:
        return
    found = _ask(challenge, challenge.model, photo, explain=False)
    if found is not None:
        challenge.counters.answered("champion", champion)
        challenge.counters.compared(agree=found.label == champion.label)


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
