"""Follows a channel: after a move, verifies the new version while the old one is served, then swaps them.

It also polls decisions about the serving version, and serves the last good one instead of a revoked one.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from registry.certificates.certificate import Certificate
from registry.channels.channel import Channel, ChannelEntry
from registry.clock import utc_now
from registry.errors import HistoryBroken, NothingToRollBackTo
from serving.inference.loaded_model import LoadedModel
from serving.release.admission import Admission, VersionRefused
from serving.release.live import Deployed, Live, Refusal
from serving.telemetry import Metrics

logger = logging.getLogger(__name__)

_KEPT = 2
"""Models in memory: the active one and the one before it, for a rollback without loading."""

_RETRY_SECONDS = (4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds until a refused version is checked again, if the cause can be fixed."""


@dataclass(kw_only=True)
class _Refused:
    """The channel's last move, which was refused, and when to check it again."""

    move: ChannelEntry
    refusal: VersionRefused
    next_look: float
    looks: int = 0

    def put_off(self, now: float) -> None:
        """Wait longer before each check."""
        self.next_look = now + _RETRY_SECONDS[min(self.looks, len(_RETRY_SECONDS) - 1)]
        self.looks += 1


class Rollout:
    """The only writer of `Live`. One thread calls `step` repeatedly.

    A failed poll changes nothing: the served version stays. The only exception is a version that is no longer
    certified: after the poll that detects it, it is never served again.
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
        self._named: ChannelEntry | None = None
        self._seen: ChannelEntry | None = None
        self._kept: list[LoadedModel] = []
        self._refused: _Refused | None = None
        self._expired: Certificate | None = None
        self._passed_over: set[int] = set()
        self._began = 0.0
        self._store_is_away = False

    @property
    def kept(self) -> tuple[LoadedModel, ...]:
        """The models in memory, the last activated first."""
        return tuple(self._kept)

    def run(self, stop: threading.Event, *, poll_seconds: float) -> None:
        """Follow the channel until `stop` is set."""
        while not stop.is_set():
            self.step()
            stop.wait(poll_seconds)

    def step(self) -> bool:
        """Poll once and apply changes. Returns True if the store responded."""
        self._began = self._monotonic()
        trouble: Exception | None = None
        for work in (
            self._follow_channel,
            self._apply_decisions,
        ):  # separately: one failure does not hide another
            try:
                work()
            except Exception as error:  # noqa: BLE001 - no error may end the follower
                trouble = trouble or error
        self._log_expiry()
        self._record_difference()
        if trouble is not None:
            self._record_failure(trouble)
            return False
        self._record_success()
        return True

    def _follow_channel(self) -> None:
        try:
            head = self._channel.head()
        except HistoryBroken:
            self._follow_intact_entries()
            raise
        self._named = head
        self._log_skipped()
        if head is None:
            self._live.settled = True
            return
        if self._seen is None or head.number != self._seen.number:
            self._follow(head)
        elif self._refused is not None:
            self._retry_refused(self._refused)

    def _follow_intact_entries(self) -> None:
        """If the channel's log is broken and no version is loaded, serve the one before the break.

        Endpoints that ran before it serve that, too: a new one must not differ from them, nor serve nothing.
        """
        sure = self._channel.sure
        if sure is None or self._live.deployed is not None:
            return
        if self._seen is None or self._seen.number != sure.number:
            self._follow(sure)
        elif self._refused is not None:
            self._retry_refused(self._refused)

    def _follow(self, head: ChannelEntry) -> None:
        try:
            model = self._admit(head)
        except VersionRefused as refusal:
            self._seen = head
            refused = self._refuse(head, refusal)
            if self._live.deployed is None:
                self._fall_back(refused)
            refused.put_off(self._monotonic())
        else:
            self._seen = head
            self._activate(head, model)
            self._refused = self._live.refused = None
            self._metrics.refusing.set(0)

    def _retry_refused(self, refused: _Refused) -> None:
        """Try a refused move again if due; if no version is loaded, find one that can be."""
        due = self._monotonic() >= refused.next_look
        if self._admission.has_news(refused.refusal.standing) or (due and refused.refusal.curable):
            self._follow(refused.move)
        elif due and self._live.deployed is None:
            self._fall_back(refused)
            refused.put_off(self._monotonic())

    def _apply_decisions(self) -> None:
        """Check for decisions about the active version, and apply them."""
        deployed = self._live.deployed
        if deployed is None:
            return
        try:
            model = self._admission.confirm(deployed.model, self._channel.origin(deployed.move))
        except VersionRefused as refusal:
            self._withdraw(deployed, refusal)
        else:
            if model is not deployed.model:
                self._live.deployed = replace(deployed, model=model)
                self._keep(model)

    def _withdraw(self, deployed: Deployed, refusal: VersionRefused) -> None:
        self._metrics.withdrawals.inc()
        logger.error(
            "version withdrawn",
            extra={
                "version": deployed.model.version.number,
                "entry": deployed.move.number,
                "reason": refusal.reason,
                "detail": refusal.detail,
            },
        )
        # With a refusal already, the served version was not the channel's: that refusal stays.
        refused = self._refused or self._refuse(deployed.move, refusal)
        refused.looks, refused.next_look = 0, self._began  # an interrupted search is restarted at the next poll
        self._fall_back(refused)
        refused.put_off(self._monotonic())

    def _fall_back(self, refused: _Refused) -> None:
        """Serve the last good version instead of the refused one; nothing if there is none."""
        found = None
        try:
            found = self._last_good(refused)
        finally:
            if found is None:
                self._deactivate()
        if found is not None:
            self._activate(*found, instead_of=refused.move)
            return
        level = logging.DEBUG if refused.looks else logging.ERROR
        logger.log(level, "no version to fall back to; serving none", extra={"entry": refused.move.number})

    def _last_good(self, refused: _Refused) -> tuple[ChannelEntry, LoadedModel] | None:
        """The first admissible version among those that repeated rollbacks would activate."""
        tried = {refused.move.digest}
        move = self._before(refused.move)
        while move is not None:
            if move.digest not in tried:
                tried.add(move.digest)
                if self._in_memory(move) is None:
                    self._deactivate()  # a withdrawn version must not be served while another is loading
                try:
                    return move, self._admit(move)
                except VersionRefused as refusal:
                    level = logging.DEBUG if refused.looks else logging.WARNING
                    logger.log(level, "version skipped", extra={"version": move.version, "detail": refusal.detail})
            move = self._before(move)
        return None

    def _before(self, move: ChannelEntry) -> ChannelEntry | None:
        try:
            return self._channel.before(move)
        except NothingToRollBackTo:
            return None

    def _admit(self, move: ChannelEntry) -> LoadedModel:
        model, origin = self._in_memory(move), self._channel.origin(move)  # a rollback needs no second person
        return self._admission.admit(origin) if model is None else self._admission.admit_again(model, origin)

    def _in_memory(self, move: ChannelEntry) -> LoadedModel | None:
        for model in self._kept:
            if model.version.number == move.version and model.version.digest == move.digest:
                return model
        return None

    def _keep(self, model: LoadedModel) -> None:
        others = [kept for kept in self._kept if kept.version.digest != model.version.digest]
        self._kept = [model, *others][:_KEPT]

    def _activate(self, move: ChannelEntry, model: LoadedModel, *, instead_of: ChannelEntry | None = None) -> None:
        before = self._live.deployed
        self._live.deployed = Deployed(model=model, move=move)  # the swap: one reference
        self._live.settled = True
        self._keep(model)
        version = model.version
        self._metrics.serving.clear()
        self._metrics.serving.labels(version.model, version.number, version.digest).set(1)
        self._metrics.entry.set(move.number)
        self._metrics.swaps.inc()
        seconds = self._monotonic() - self._began
        self._metrics.swap_seconds.observe(seconds)
        logger.info(
            "version active",
            extra={
                "version": version.number,
                "digest": version.digest,
                "entry": move.number,
                "before": before.model.version.number if before else None,
                "instead_of": instead_of.version if instead_of else None,
                "seconds": round(seconds, 3),
            },
        )

    def _deactivate(self) -> None:
        self._live.deployed = None
        self._metrics.serving.clear()
        self._metrics.entry.set(0)

    def _refuse(self, move: ChannelEntry, refusal: VersionRefused) -> _Refused:
        last = self._refused if self._refused and self._refused.move.number == move.number else None
        self._refused = _Refused(move=move, refusal=refusal, next_look=self._began, looks=last.looks if last else 0)
        news = last is None or last.refusal.detail != refusal.detail
        if news:
            self._live.refused = Refusal(
                entry=move.number,
                version=move.version,
                reason=refusal.reason,
                detail=refusal.public,
                at=utc_now(),
            )
            self._metrics.refusals.labels(refusal.reason).inc()
            self._metrics.refusing.set(1)
        logger.log(
            logging.ERROR if news else logging.DEBUG,
            "version refused",
            extra={"version": move.version, "entry": move.number, "reason": refusal.reason, "detail": refusal.detail},
        )
        return self._refused

    def _log_skipped(self) -> None:
        """Log each invalid object in the channel's log once; `petpark models fsck` shows details."""
        for number, problem in self._channel.passed_over.items():
            if number not in self._passed_over:
                logger.error(
                    "invalid object in the channel's log skipped", extra={"entry": number, "error": str(problem)}
                )
        self._passed_over = set(self._channel.passed_over)
        self._metrics.passed_over.set(len(self._passed_over))

    def _log_expiry(self) -> None:
        """Log once that the active version's certificate has expired."""
        deployed = self._live.deployed
        if deployed is None or deployed.model.certificate == self._expired:
            return
        certificate = deployed.model.certificate
        if certificate is not None and self._admission.has_expired(deployed.model):
            self._expired = certificate
            logger.error(
                "certificate expired; its version is still served",
                extra={"version": certificate.version, "expires_at": certificate.expires_at, "by": certificate.by},
            )

    def _record_difference(self) -> None:
        """Compares the served version with the channel's, whatever the cause of a difference."""
        deployed, named = self._live.deployed, self._named
        same = named is None or (deployed is not None and deployed.model.version.digest == named.digest)
        if same:
            self._live.differs_since = None
        elif self._live.differs_since is None:
            self._live.differs_since = time.monotonic()

    def _record_failure(self, error: Exception) -> None:
        self._metrics.store_errors.inc()
        level = logging.DEBUG if self._store_is_away else logging.ERROR
        self._store_is_away = True
        logger.log(level, "cannot read the channel; still serving the active version", extra={"error": repr(error)})

    def _record_success(self) -> None:
        self._metrics.polled.set_to_current_time()
        self._live.store_answered_at = time.monotonic()
        if self._store_is_away:
            self._store_is_away = False
            logger.info("channel readable again")
