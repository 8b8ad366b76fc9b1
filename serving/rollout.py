"""Follows a channel: sees a move, verifies the version beside the one that answers, then swaps them."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from registry.channel import Channel, Move
from registry.errors import HistoryBroken
from serving.admission import Admission, VersionRefused
from serving.live import Deployed, Live, Refusal
from serving.model import LoadedModel
from serving.telemetry import Metrics

logger = logging.getLogger(__name__)

_KEPT = 2
"""Models in memory: the one in force and the one before it, for a rollback without loading."""

_RETRY_SECONDS = (4.0, 8.0, 16.0, 32.0, 60.0)
"""How long a refused version waits before it is looked at again, if what it lacks can be mended."""


class Rollout:
    """The only writer of `Live`. One thread calls `step` again and again.

    A poll that fails, for whatever reason, leaves everything as it is: what answers goes on answering.
    """

    def __init__(
        self,
        *,
        channel: Channel,
        admission: Admission,
        live: Live,
        metrics: Metrics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._admission = admission
        self._live = live
        self._metrics = metrics
        self._monotonic = monotonic
        self._seen: Move | None = None
        self._kept: list[LoadedModel] = []
        self._refused: Move | None = None
        self._refusals = 0
        self._next_look = 0.0
        self._store_is_away = False

    @property
    def kept(self) -> tuple[LoadedModel, ...]:
        """The models in memory, the one that came into force last first."""
        return tuple(self._kept)

    def run(self, stop: threading.Event, *, poll_seconds: float) -> None:
        """Follow the channel until `stop` is set."""
        while not stop.is_set():
            self.step()
            stop.wait(poll_seconds)

    def step(self) -> bool:
        """Poll once and act on what is new. True when the store answered."""
        began = self._monotonic()
        try:
            move = self._newest() or self._due_again()
            if move is not None:
                self._follow(move, began)
        except Exception as error:  # noqa: BLE001 - whatever happens here must not end the follower
            self._note_trouble(error)
            return False
        self._note_answer()
        return True

    def _newest(self) -> Move | None:
        """Give the last entry after the one seen, if there is one. Raises `HistoryBroken` when they are no chain."""
        if self._seen is None:
            return self._channel.head()
        last = self._seen
        while (following := self._channel.after(last.number)) is not None:
            if following.previous_sha256 != last.sha256:
                raise HistoryBroken(
                    f"channel {self._channel.name}",
                    expected=f"entry {following.number} carrying {last.sha256}, the hash of entry {last.number}",
                    actual=f"{following.previous_sha256}, written by {following.by} at {following.at}",
                )
            last = following
        return None if last is self._seen else last

    def _due_again(self) -> Move | None:
        return self._refused if self._refused and self._monotonic() >= self._next_look else None

    def _follow(self, move: Move, began: float) -> None:
        try:
            model = self._warm(move) or self._admission.admit(move)
        except VersionRefused as refusal:
            self._refuse(move, refusal)
        else:
            self._put_into_force(move, model, began)
        self._seen = move

    def _warm(self, move: Move) -> LoadedModel | None:
        for model in self._kept:
            if model.version.digest == move.digest and model.version.number == move.version:
                return self._admission.admit_again(model)
        return None

    def _put_into_force(self, move: Move, model: LoadedModel, began: float) -> None:
        before = self._live.deployed
        self._live.deployed = Deployed(model=model, move=move)  # the swap: one reference
        self._live.refused = None
        self._refused, self._refusals = None, 0
        others = [kept for kept in self._kept if kept.version.digest != model.version.digest]
        self._kept = [model, *others][:_KEPT]
        version = model.version
        self._metrics.serving.clear()
        self._metrics.serving.labels(version.model, version.number, version.digest).set(1)
        self._metrics.entry.set(move.number)
        self._metrics.swaps.inc()
        self._metrics.swap_seconds.observe(self._monotonic() - began)
        logger.info(
            "version in force",
            extra={
                "version": version.number,
                "digest": version.digest,
                "entry": move.number,
                "before": before.model.version.number if before else None,
            },
        )

    def _refuse(self, move: Move, refusal: VersionRefused) -> None:
        again = self._refused is not None and self._refused.number == move.number
        self._refusals = self._refusals + 1 if again else 1
        self._refused = move if refusal.curable else None
        self._next_look = self._monotonic() + _RETRY_SECONDS[min(self._refusals, len(_RETRY_SECONDS)) - 1]
        self._live.refused = Refusal(
            entry=move.number,
            version=move.version,
            reason=refusal.reason,
            detail=refusal.detail,
            at=datetime.now(UTC),
        )
        if not again:
            self._metrics.refusals.labels(refusal.reason).inc()
        logger.log(
            logging.DEBUG if again else logging.ERROR,
            "version refused",
            extra={"version": move.version, "entry": move.number, "reason": refusal.reason, "detail": refusal.detail},
        )

    def _note_trouble(self, error: Exception) -> None:
        self._metrics.store_errors.inc()
        level = logging.DEBUG if self._store_is_away else logging.ERROR
        self._store_is_away = True
        logger.log(level, "cannot follow the channel; serving what is in force", extra={"error": repr(error)})

    def _note_answer(self) -> None:
        self._metrics.polled.set_to_current_time()
        if self._store_is_away:
            self._store_is_away = False
            logger.info("following the channel again")
