"""The served version: written by the followers, read by every request."""

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
    """A model and the channel entry that activated it."""

    model: LoadedModel
    move: ChannelEntry


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The channel's last entry, if this process does not serve its version, and the reason."""

    entry: int
    version: int
    reason: str
    detail: str
    """The reason for callers, without ARNs and notes."""
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
    """One writer per attribute (the followers' threads), many readers.

    Each attribute is a reference to an immutable object. Its assignment is atomic, so a reader sees the old or the new
    one, never a mixture. A request reads `deployed` once and uses it until its end.
    """

    def __init__(self) -> None:
        self.deployed: Deployed | None = None
        self.refused: Refusal | None = None
        self.challenge: Challenge | None = None
        self.draining = False
        self.settled = False
        """Whether the channel has been read once, and its version loaded if it has one."""
        self.differs_since: float | None = None
        """Since when the served version differs from the channel's, by `time.monotonic`; None: it does not."""
        self.store_answered_at = time.monotonic()
        """When the model store last responded, or when this process started."""

    @property
    def in_service(self) -> bool:
        """Whether a load balancer should send callers here, and an Auto Scaling group keep this instance.

        Not `ready`: an instance with an empty channel, or a withdrawn version, has nothing to serve, and its
        replacement would not either. `docs/design/infrastructure.md` has the table.
        """
        return self.settled and not self.draining

    @property
    def ready(self) -> bool:
        """Whether a version is served."""
        return self.deployed is not None and not self.draining

    @property
    def not_ready_reason(self) -> str:
        """Returns why no version is served, for callers."""
        why = self.refused.detail if self.refused else "Its channel may be empty."
        return f"This endpoint serves no version yet. {why}"
