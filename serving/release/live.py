"""What this process serves right now: the one place that the follower writes and every request reads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from registry.channels.channel import ChannelEntry
    from serving.inference.loaded_model import LoadedModel
    from serving.release.challenger import Challenge


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A model and the channel entry that put it into force."""

    model: LoadedModel
    move: ChannelEntry


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The channel's last entry, where this process does not serve what it names, and why not."""

    entry: int
    version: int
    reason: str
    detail: str
    """What callers may read: no ARN, no note."""
    at: datetime

    def to_json(self) -> dict[str, object]:
        """Returns it as in `/v1/model`."""
        return {
            "entry": self.entry,
            "version": self.version,
            "reason": self.reason,
            "detail": self.detail,
            "at": self.at.isoformat(timespec="seconds"),
        }


class Live:
    """One writer an attribute (the followers' threads), many readers.

    Each attribute is one reference to something immutable: assigning it is atomic, so a reader sees the old or the
    new, never a mixture. A request reads `deployed` once and ends on what it read.
    """

    def __init__(self) -> None:
        self.deployed: Deployed | None = None
        self.refused: Refusal | None = None
        self.challenge: Challenge | None = None
        self.draining = False
        self.settled = False
        """Whether it was known once what to serve here: a version, or nothing, because the channel was empty."""
        self.store_answered_at = time.monotonic()
        """When the model store last answered, or this process began."""

    @property
    def in_service(self) -> bool:
        """Whether a load balancer should send callers here, and an Auto Scaling group keep this instance.

        Not `ready`: an instance whose channel is empty, or whose version was withdrawn, has nothing to serve, and a new
        one in its place would not either. `docs/design/infrastructure.md` has the table.
        """
        return self.settled and not self.draining

    @property
    def ready(self) -> bool:
        """Whether callers should be sent here."""
        return self.deployed is not None and not self.draining

    @property
    def excuse(self) -> str:
        """Returns why no version is being served, for callers."""
        why = self.refused.detail if self.refused else "Its channel may be empty."
        return f"This endpoint serves no version yet. {why}"
