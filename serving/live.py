"""What this process serves right now: the one place that the follower writes and every request reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from registry.channel import Move
    from serving.challenge import Challenge
    from serving.model import LoadedModel


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A model and the channel entry that put it into force."""

    model: LoadedModel
    move: Move


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The channel's last entry, where this process does not serve what it names, and why not."""

    entry: int
    version: int
    reason: str
    detail: str
    at: datetime

    def to_json(self) -> dict[str, object]:
        """Give it as `/v1/model` shows it."""
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

    @property
    def ready(self) -> bool:
        """Whether callers should be sent here."""
        return self.deployed is not None and not self.draining

    @property
    def excuse(self) -> str:
        """Say to a caller why nothing is in force, as far as it is known."""
        why = self.refused.detail if self.refused else "Its channel may still be empty."
        return f"No verified version is in force here. {why}"
